// SHA-256 (FIPS 180-4, from OpenSSL), in lower-case hex.
#ifndef FLAME_BASE_CHECKSUM_H_
#define FLAME_BASE_CHECKSUM_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace flame {

std::string Sha256(std::string_view bytes);
// Throws DataError if the file cannot be read.
std::string Sha256OfFile(const std::filesystem::path& path);

// A digest over parts that arrive one by one.
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

}  // namespace flame

#endif  // FLAME_BASE_CHECKSUM_H_
