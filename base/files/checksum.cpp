#include "base/files/checksum.h"

#include <openssl/evp.h>
#ifdef __x86_64__
// This header computes the same digests with the processor's widest instructions: 33 instead of
// 15 GB/s in cache.
#include <xxh_x86dispatch.h>
#else
#include <xxhash.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/error.h"

namespace flame {
namespace {

std::string Hex(const unsigned char* bytes, size_t size) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < size; ++i) {
    text += kHex[bytes[i] >> 4];
    text += kHex[bytes[i] & 15];
  }
  return text;
}

}  // namespace

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
  return Hex(digest, sizeof digest);
}

std::string Sha256(std::string_view bytes) {
  Sha256Stream stream;
  stream.Update(bytes.data(), bytes.size());
  return stream.Finish();
}

std::string Sha256OfFile(const std::filesystem::path& path, uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(path.string(), ": cannot read: ", std::strerror(errno));
  Sha256Stream stream;
  std::vector<char> buffer(1 << 20);
  do {
    const uint64_t wanted = std::min<uint64_t>(size, buffer.size());
    file.read(buffer.data(), static_cast<std::streamsize>(wanted));
    stream.Update(buffer.data(), static_cast<size_t>(file.gcount()));
    size -= static_cast<uint64_t>(file.gcount());
  } while (file && size > 0);
  // A folder can be opened; its first read fails.
  if (!file && !file.eof()) throw DataError(path.string(), ": cannot read: ", std::strerror(errno));
  return stream.Finish();
}

struct Xxh3Stream::State {
  XXH3_state_t* state = XXH3_createState();
  ~State() { XXH3_freeState(state); }
};

Xxh3Stream::Xxh3Stream() : state_(std::make_unique<State>()) {
  if (!state_->state || XXH3_128bits_reset(state_->state) != XXH_OK) {
    throw MachineError("xxhash cannot start a digest");
  }
}

Xxh3Stream::~Xxh3Stream() = default;

void Xxh3Stream::Update(const void* data, size_t size) {
  if (XXH3_128bits_update(state_->state, data, size) != XXH_OK) {
    throw MachineError("xxhash failed to digest ", size, " bytes");
  }
}

std::string Xxh3Stream::Finish() const {
  XXH128_canonical_t digest;
  XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(state_->state));
  return Hex(digest.digest, sizeof digest.digest);
}

}  // namespace flame
