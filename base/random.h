// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC'11). A number is a pure function
// of (seed, stream, index), so it depends neither on the order of draws nor on the rank that draws.
#ifndef FLAME_BASE_RANDOM_H_
#define FLAME_BASE_RANDOM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace flame {

// Philox4x32-10 as published. Word 0 of counter and key is the least significant, as in Random123.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// A stream of numbers for one (seed, a, b, c). Streams with different arguments are independent.
// Worked example: RandomStream(run_seed, kSampling, task, member).UniformAt(position).
class RandomStream {
 public:
  RandomStream(uint64_t seed, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0)
      : seed_(seed), a_(a), b_(b), c_(c) {}

  // Returns number `index` of the stream, in [0, 1) with 53 bits, without moving the stream.
  double UniformAt(uint32_t index) const;

  // Returns the next number of the stream. Throws MachineError after 2^32 - 1 draws.
  uint64_t Next();
  double Uniform();            // [0, 1)
  uint64_t Below(uint64_t n);  // [0, n), unbiased; n > 0
  double Normal();             // mean 0, variance 1
  bool Bernoulli(double p) { return Uniform() < p; }
  // Returns an index drawn in proportion to `weights` (>= 0, not all 0).
  size_t Weighted(const std::vector<double>& weights);

  template <class T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[Below(i)]);
  }

 private:
  uint64_t seed_;
  uint32_t a_, b_, c_;
  uint32_t index_ = 0;
};

// The stream argument `a` of each use, so that no two uses share numbers.
enum RandomUse : uint32_t {
  kSampling = 1,
  kInit = 2,
  kDropout = 3,
  kDataOrder = 4,
  kTasks = 5,
  kSynth = 6,
  kOracle = 7,
  kBootstrap = 8,
  kEntities = 9,
  kStepOrder = 10,
  kBalance = 11,
  kValidation = 12,
  kSweep = 13,
  kEncoders = 14,
  kPretraining = 15,
  kPermutation = 16,
};

}  // namespace flame

#endif  // FLAME_BASE_RANDOM_H_
