// A seal is a checksum appended to a file. HDF5 1.10 checks its data but not its own structures,
// and crashes on some damaged ones, so the whole file is checked before HDF5 opens it. HDF5 ignores
// bytes after its own end of file.
#ifndef FLAME_BASE_FILES_SEAL_H_
#define FLAME_BASE_FILES_SEAL_H_

#include <filesystem>
#include <string>
#include <string_view>

namespace flame {

// Returns "\nsha256 HEX\n" (73 bytes), HEX being the SHA-256 of `bytes`.
std::string SealOf(std::string_view bytes);
// Appends the seal. Throws MachineError if the file cannot be written.
void SealFile(const std::filesystem::path& path);

// Throws DataError naming the file if the seal is missing or does not match the bytes before it.
void CheckSeal(const std::filesystem::path& path);
// Checks the bytes of a file; `name` stands for the file in messages.
void CheckSeal(std::string_view bytes, const std::string& name);

}  // namespace flame

#endif  // FLAME_BASE_FILES_SEAL_H_
