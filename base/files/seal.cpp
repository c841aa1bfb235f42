#include "base/files/seal.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/files/checksum.h"

namespace flame {
namespace {

constexpr char kBegin[] = "\nsha256 ";
constexpr size_t kSealSize = 73;

std::string SealText(const std::string& digest) { return kBegin + digest + "\n"; }

// Throws DataError unless `found`, the last bytes of a file of `size` bytes, is the right seal.
// `digest(n)` returns the SHA-256 of the file's first n bytes.
template <class Digest>
void CheckFound(const std::string& name, uint64_t size, std::string_view found, Digest digest) {
  if (found.size() < kSealSize || !found.starts_with(kBegin)) {
    throw DataError(name, ": expected a checksum in the last ", kSealSize, " of ", size,
                    " bytes, found none; the file is cut off or of another kind");
  }
  const std::string expected = SealText(digest(size - kSealSize));
  if (found != expected) {
    throw DataError(name, ": the file is damaged: it ends with the checksum '", found.substr(1, 23),
                    "...', its bytes give '", expected.substr(1, 23), "...'");
  }
}

}  // namespace

std::string SealOf(std::string_view bytes) { return SealText(Sha256(bytes)); }

void SealFile(const std::filesystem::path& path) {
  const std::string seal = SealText(Sha256OfFile(path));
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << seal << std::flush;
  if (!file) throw MachineError(path.string(), ": cannot append ", seal.size(), " bytes");
}

void CheckSeal(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) throw DataError(name, ": cannot read: ", error.message());
  std::string found(std::min<uint64_t>(size, kSealSize), '\0');
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(size - found.size()));
  file.read(found.data(), static_cast<std::streamsize>(found.size()));
  if (!file) throw DataError(name, ": cannot read: ", std::strerror(errno));
  CheckFound(name, size, found, [&](uint64_t before) { return Sha256OfFile(path, before); });
}

void CheckSeal(std::string_view bytes, const std::string& name) {
  const size_t before = bytes.size() - std::min(bytes.size(), kSealSize);
  CheckFound(name, bytes.size(), bytes.substr(before),
             [&](uint64_t size) { return Sha256(bytes.substr(0, size)); });
}

}  // namespace flame
