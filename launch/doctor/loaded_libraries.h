// The shared libraries of this process, told apart by build.
#ifndef FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_
#define FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_

#include <map>
#include <string>
#include <vector>

namespace flame {

// By file name, such as "libc10.so": the build id that the linker left in it (ELF note
// NT_GNU_BUILD_ID, in hex), or of a library without one its size and the XXH3-128 of its first and
// last MiB, so that no rank reads gigabytes.
std::map<std::string, std::string> LoadedLibraries();

// Paths of loaded libraries whose file name begins with `name`, each once.
std::vector<std::string> LoadedFiles(const std::string& name);

}  // namespace flame

#endif  // FLAME_LAUNCH_DOCTOR_LOADED_LIBRARIES_H_
