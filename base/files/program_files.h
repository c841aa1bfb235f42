// Files that come with the program, found from where the program itself lies.
//   PREFIX/bin/flame             the program
//   PREFIX/lib/flame/            flame-compute and the libraries that it opens
//   PREFIX/share/flame/          configs/, slurm/, synth/
// A build folder is such a prefix too.
#ifndef FLAME_BASE_FILES_PROGRAM_FILES_H_
#define FLAME_BASE_FILES_PROGRAM_FILES_H_

#include <filesystem>

namespace flame {

// The nearest folder above this process's program that has share/flame. Throws MachineError where
// there is none.
std::filesystem::path InstallPrefix();

std::filesystem::path ShareFolder();    // PREFIX/share/flame
std::filesystem::path LibraryFolder();  // PREFIX/lib/flame
std::filesystem::path FlameProgram();   // PREFIX/bin/flame, which other processes are started as

}  // namespace flame

#endif  // FLAME_BASE_FILES_PROGRAM_FILES_H_
