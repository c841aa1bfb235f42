#include "rollout/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "model/kernels/simd.h"

namespace flame {
namespace {

// Tokens whose weights are summed in float32; the sums of blocks are added in float64.
constexpr int64_t kBlock = 64;

// Returns false if a logit is NaN or the largest is infinite.
FLAME_CLONES bool FindLargest(const float* logits, int64_t size, float* largest) {
  float most = -std::numeric_limits<float>::infinity();
  int32_t wrong = 0;
#pragma omp simd reduction(max : most) reduction(| : wrong)
  for (int64_t i = 0; i < size; ++i) {
    most = logits[i] > most ? logits[i] : most;
    wrong |= logits[i] != logits[i];  // NOLINT(misc-redundant-expression): NaN
  }
  *largest = most;
  return wrong == 0 && std::isfinite(most);
}

// Returns exp((logit - largest) * scale), but 0 if that is below exp(-87).
FLAME_INLINE float Weight(float logit, float largest, float scale) {
  const float below = (largest - logit) * scale;
  const float weight = ExpOfMinus(below);
  return below < 87 ? weight : 0.0f;
}

FLAME_CLONES void Weights(const float* logits, int64_t size, float largest, float scale,
                          float* weights) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) weights[i] = Weight(logits[i], largest, scale);
}

// Computes the cumulative sum of weights after each block.
FLAME_CLONES void SumBlocks(const float* logits, int64_t size, float largest, float scale,
                            double* cumulative) {
  double total = 0;
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t count = std::min(kBlock, size - begin);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; ++i) sum += Weight(logits[begin + i], largest, scale);
    cumulative[begin / kBlock] = total += sum;
  }
}

// softmax(logits / temperature), without the division by the sum.
class Distribution {
 public:
  Distribution(const float* logits, int64_t size, double temperature)
      : logits_(logits), size_(size), scale_(temperature == 0 ? 1 : 1 / temperature) {
    finite_ = FindLargest(logits, size, &largest_);
    if (!finite_) return;
    cumulative_.resize((size + kBlock - 1) / kBlock);
    SumBlocks(logits, size, largest_, static_cast<float>(scale_), cumulative_.data());
  }
  bool finite() const { return finite_; }
  int64_t Largest() const { return std::find(logits_, logits_ + size_, largest_) - logits_; }
  double LogProb(int64_t token) const {
    return (static_cast<double>(logits_[token]) - largest_) * scale_ - std::log(cumulative_.back());
  }

  int64_t Draw(double uniform) const {
    const double target = uniform * cumulative_.back();
    const int64_t block =
        std::upper_bound(cumulative_.begin(), cumulative_.end() - 1, target) - cumulative_.begin();
    const int64_t begin = block * kBlock, count = std::min(kBlock, size_ - begin);
    float weights[kBlock];
    Weights(logits_ + begin, count, largest_, static_cast<float>(scale_), weights);
    double sum = block == 0 ? 0 : cumulative_[block - 1];
    int64_t last = -1;  // last token with a weight: by rounding, `sum` may never exceed `target`
    for (int64_t i = 0; i < count; ++i) {
      if (weights[i] == 0) continue;
      last = begin + i;
      sum += weights[i];
      if (sum > target) break;
    }
    return last >= 0 ? last : Largest();
  }

  // Returns the tokens that top_k and top_p leave, ascending.
  std::vector<int32_t> Kept(const SamplingRule& rule) const {
    std::vector<float> weights(size_);
    Weights(logits_, size_, largest_, static_cast<float>(scale_), weights.data());
    const auto likelier = [&](int32_t a, int32_t b) {
      return logits_[a] != logits_[b] ? logits_[a] > logits_[b] : a < b;
    };
    std::vector<int32_t> tokens = Candidates(rule, weights);
    if (rule.top_k > 0 && rule.top_k < static_cast<int64_t>(tokens.size())) {
      std::nth_element(tokens.begin(), tokens.begin() + rule.top_k, tokens.end(), likelier);
      tokens.resize(rule.top_k);
    }
    if (rule.top_p < 1) {
      std::sort(tokens.begin(), tokens.end(), likelier);
      const auto sum_of = [&](double sum, int32_t token) { return sum + weights[token]; };
      const double whole = rule.top_k > 0
                               ? std::accumulate(tokens.begin(), tokens.end(), 0.0, sum_of)
                               : cumulative_.back();
      double sum = 0;
      size_t count = 0;
      while (count < tokens.size() && sum < rule.top_p * whole) sum += weights[tokens[count++]];
      tokens.resize(std::max<size_t>(count, 1));
    }
    std::sort(tokens.begin(), tokens.end());
    return tokens;
  }

 private:
  // Returns the tokens that may be kept. Of V tokens, those below (1 - top_p) / 2V of the total
  // have less than 1 - top_p together, so the others reach top_p without them: few remain to be
  // sorted.
  std::vector<int32_t> Candidates(const SamplingRule& rule,
                                  const std::vector<float>& weights) const {
    const double least =
        rule.top_k > 0 ? 0 : (1 - rule.top_p) / 2 / static_cast<double>(size_) * cumulative_.back();
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < size_; ++i) {
      if (weights[i] > 0 && weights[i] >= least) tokens.push_back(static_cast<int32_t>(i));
    }
    return tokens;
  }

  const float* logits_;
  int64_t size_;
  double scale_;
  float largest_ = 0;
  bool finite_ = false;
  std::vector<double> cumulative_;  // sum of the weights up to the end of each block
};

}  // namespace

Choice ChooseToken(const float* logits, int64_t vocab_size, const SamplingRule& rule,
                   double uniform) {
  const Distribution all(logits, vocab_size, rule.temperature);
  if (!all.finite()) return {};
  int64_t token = 0;
  if (rule.temperature == 0) {
    token = all.Largest();
  } else if (rule.top_k > 0 || rule.top_p < 1) {
    token = ChooseAmong(logits, all.Kept(rule), {.temperature = rule.temperature}, uniform).token;
  } else {
    token = all.Draw(uniform);
  }
  return {static_cast<int32_t>(token), static_cast<float>(all.LogProb(token))};
}

Choice ChooseAmong(const float* logits, const std::vector<int32_t>& allowed,
                   const SamplingRule& rule, double uniform) {
  std::vector<float> chosen(allowed.size());
  std::transform(allowed.begin(), allowed.end(), chosen.begin(),
                 [&](int32_t token) { return logits[token]; });
  Choice choice = ChooseToken(chosen.data(), static_cast<int64_t>(chosen.size()), rule, uniform);
  if (choice.token >= 0) choice.token = allowed[choice.token];
  return choice;
}

double SamplingUniform(uint64_t seed, int64_t task_id, int64_t member, int64_t position) {
  // A stream is named by 32 bits of the task id; the other bits go into the seed.
  constexpr uint64_t kOddConstant = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio
  const auto task = static_cast<uint64_t>(task_id);
  return RandomStream(seed + (task >> 32) * kOddConstant, kSampling, static_cast<uint32_t>(task),
                      static_cast<uint32_t>(member))
      .UniformAt(static_cast<uint32_t>(position));
}

}  // namespace flame
