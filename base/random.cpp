#include "base/random.h"

#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace flame {
namespace {

uint64_t Bits(uint64_t seed, std::array<uint32_t, 4> counter) {
  const auto key = std::array{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const auto words = Philox4x32(counter, key);
  return words[0] | static_cast<uint64_t>(words[1]) << 32;
}

double ToUniform(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace

// The constants are from table 2 and section 4.3 of Salmon et al.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr uint64_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = kMultiplier0 * counter[0], product1 = kMultiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

double RandomStream::UniformAt(uint32_t index) const {
  return ToUniform(Bits(seed_, {index, a_, b_, c_}));
}

uint64_t RandomStream::Next() {
  if (index_ == std::numeric_limits<uint32_t>::max()) {
    throw MachineError("random stream (", a_, ", ", b_, ", ", c_, ") is used up after 2^32 draws");
  }
  return Bits(seed_, {index_++, a_, b_, c_});
}

double RandomStream::Uniform() { return ToUniform(Next()); }

uint64_t RandomStream::Below(uint64_t n) {
  // Rejecting draws below 2^64 mod n makes every residue equally likely.
  const uint64_t refused = -n % n;
  uint64_t bits = Next();
  while (bits < refused) bits = Next();
  return bits % n;
}

double RandomStream::Normal() {
  // Box-Muller; 1 - u is in (0, 1].
  const double radius = std::sqrt(-2.0 * std::log(1.0 - Uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * Uniform());
}

size_t RandomStream::Weighted(const std::vector<double>& weights) {
  double total = 0;
  for (const double weight : weights) total += weight;
  double left = Uniform() * total;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    if (left < weights[i]) return i;
    left -= weights[i];
  }
  return last;  // rounding left a remainder
}

}  // namespace flame
