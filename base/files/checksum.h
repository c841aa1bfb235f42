// Checksums in lower-case hex: SHA-256 (FIPS 180-4, from OpenSSL) and XXH3-128 (xxhash). XXH3-128
// runs at the speed of memory and finds damage, but not malice.
#ifndef FLAME_BASE_FILES_CHECKSUM_H_
#define FLAME_BASE_FILES_CHECKSUM_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace flame {

std::string Sha256(std::string_view bytes);
// Returns the SHA-256 of the file's first `size` bytes, by default of the whole file. Throws
// DataError if the file cannot be read.
std::string Sha256OfFile(const std::filesystem::path& path, uint64_t size = UINT64_MAX);

// Digests data that arrives in parts.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  void Update(const void* data, size_t size);
  std::string Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  void Update(const void* data, size_t size);
  std::string Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flame

#endif  // FLAME_BASE_FILES_CHECKSUM_H_
