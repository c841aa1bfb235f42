// The shared libraries of this process and their builds.
#ifndef FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_
#define FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_

#include <map>
#include <string>
#include <vector>

namespace flame {

// Returns the build of each loaded library, by file name such as "libc10.so". A build is the build
// id that the linker left in the file (ELF note NT_GNU_BUILD_ID, in hex). For a library without a
// build id it is the file's size and the XXH3-128 of its first and last MiB, so that no rank reads
// gigabytes.
std::map<std::string, std::string> LoadedLibraries();

// Returns the paths of loaded libraries whose file name begins with `name`, each once.
std::vector<std::string> LoadedFiles(const std::string& name);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_
