// A checksum behind the last byte of a file. HDF5 1.10 checks its data but not its own structures,
// and crashes on some that are damaged, so a file is checked whole before HDF5 sees it; HDF5
// ignores what lies behind its end of file.
#ifndef FLAME_BASE_FILES_SEAL_H_
#define FLAME_BASE_FILES_SEAL_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace flame {

// "\nsha256 HEX\n", 73 bytes, HEX the SHA-256 of `bytes`.
std::string SealOf(std::string_view bytes);
// Appends the seal. Throws MachineError where the file cannot be written.
void SealFile(const std::filesystem::path& path);

// Throws DataError naming the file where the seal is missing or not that of the bytes before it.
void CheckSeal(const std::filesystem::path& path);
// Of a file's bytes; `name` stands for it in messages.
void CheckSeal(std::string_view bytes, const std::string& name);

}  // namespace flame

#endif  // FLAME_BASE_FILES_SEAL_H_
