#include "base/files/program_files.h"

#include "base/error.h"

namespace flame {

namespace fs = std::filesystem;

fs::path InstallPrefix() {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  for (fs::path folder = program.parent_path(); folder != folder.root_path();
       folder = folder.parent_path()) {
    if (fs::is_directory(folder / "share" / "flame")) return folder;
  }
  throw MachineError(program.string(),
                     ": no folder above it has share/flame, the program's own data files; expected "
                     "the program where `cmake --install` or its build put it");
}

fs::path ShareFolder() { return InstallPrefix() / "share" / "flame"; }
fs::path LibraryFolder() { return InstallPrefix() / "lib" / "flame"; }
fs::path FlameProgram() { return InstallPrefix() / "bin" / "flame"; }

}  // namespace flame
