// Files that come with the program, found relative to the program itself.
//   PREFIX/bin/flame             the program
//   PREFIX/lib/flame/            flame-data, flame-compute and the libraries that it opens
//   PREFIX/share/flame/          configs/, slurm/, synth/
// A build folder has the same layout.
#ifndef FLAME_BASE_FILES_PROGRAM_FILES_H_
#define FLAME_BASE_FILES_PROGRAM_FILES_H_

#include <filesystem>

namespace flame {

// Returns the nearest folder above this process's program that has share/flame. Throws MachineError
// if none has.
std::filesystem::path InstallPrefix();

std::filesystem::path ShareFolder();    // PREFIX/share/flame
std::filesystem::path LibraryFolder();  // PREFIX/lib/flame
std::filesystem::path FlameProgram();   // PREFIX/bin/flame, which child processes run

}  // namespace flame

#endif  // FLAME_BASE_FILES_PROGRAM_FILES_H_
