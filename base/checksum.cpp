#include "base/checksum.h"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/error.h"

namespace flame {

struct Sha256Stream::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256Stream::Sha256Stream() : state_(std::make_unique<State>()) {
  if (!state_->context || EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) != 1) {
    throw MachineError("OpenSSL offers no SHA-256");
  }
}

Sha256Stream::~Sha256Stream() = default;

void Sha256Stream::Update(const void* data, size_t size) {
  if (EVP_DigestUpdate(state_->context, data, size) != 1) {
    throw MachineError("OpenSSL failed to digest ", size, " bytes");
  }
}

std::string Sha256Stream::Finish() {
  unsigned char digest[32];
  if (EVP_DigestFinal_ex(state_->context, digest, nullptr) != 1) {
    throw MachineError("OpenSSL failed to finish a SHA-256 digest");
  }
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

std::string Sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.Update(bytes.data(), bytes.size());
  return stream.Finish();
}

std::string Sha256OfFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path.string(), ": cannot read: ", std::strerror(errno));
  Sha256Stream stream;
  std::vector<char> buffer(1 << 20);
  do {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    stream.Update(buffer.data(), static_cast<size_t>(file.gcount()));
  } while (file);
  // Reading a folder opens, then fails at once.
  if (!file.eof()) throw DataError(path.string(), ": cannot read: ", std::strerror(errno));
  return stream.Finish();
}

}  // namespace flame
