#include "base/seal.h"

#include <fstream>
#include <string>
#include <string_view>

#include "base/atomic_file.h"
#include "base/checksum.h"
#include "base/error.h"

namespace flame {
namespace {

constexpr size_t kSealSize = 73;

std::string SealOf(std::string_view bytes) { return "\nsha256 " + Sha256(bytes) + "\n"; }

}  // namespace

void SealFile(const std::filesystem::path& path) {
  const std::string seal = SealOf(ReadWholeFile(path));
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << seal << std::flush;
  if (!file) throw MachineError(path.string(), ": cannot append ", seal.size(), " bytes");
}

void CheckSeal(const std::filesystem::path& path) {
  const std::string bytes = ReadWholeFile(path);
  const std::string_view all = bytes;
  const size_t size = all.size() < kSealSize ? 0 : all.size() - kSealSize;
  const std::string_view found = all.substr(size);
  if (!found.starts_with("\nsha256 ")) {
    throw DataError(path.string(), ": expected a checksum in the last ", kSealSize, " of ",
                    all.size(), " bytes, found none; the file is cut off or of another kind");
  }
  const std::string expected = SealOf(all.substr(0, size));
  if (found != expected) {
    throw DataError(path.string(), ": the file is damaged: it ends with the checksum '",
                    found.substr(1, 23), "...', its bytes give '", expected.substr(1, 23), "...'");
  }
}

}  // namespace flame
