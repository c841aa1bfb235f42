// Choosing the next token from a row of logits.
#ifndef FLAME_ROLLOUT_SAMPLER_H_
#define FLAME_ROLLOUT_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace flame {

struct SamplingRule {
  double temperature = 1;  // 0: greedy
  int64_t top_k = 0;       // draw from the so many likeliest tokens; 0: from all
  // Draw from the smallest set of likeliest tokens whose probability, of those that top_k leaves,
  // reaches this, in (0, 1]. Among equals the lower id is the likelier one.
  double top_p = 1;
};

struct Choice {
  int32_t token = -1;
  float logprob = 0;
};

// The first of the tokens that `rule` leaves, in order of id, whose cumulative probability under
// softmax(logits / temperature) among them exceeds `uniform` (in [0, 1)). Temperature 0: the
// largest logit, the lowest id among equals. Token -1 where the logits are not finite; single ones
// may be minus infinity.
//
// The log-probability is the policy's at that temperature (1 where it is 0) over all of the
// vocabulary, whatever top_k and top_p leave: it is what a learner computes again for the ratio of
// probabilities. Weights are float32, their sums float64.
Choice ChooseToken(const float* logits, int64_t vocab_size, const SamplingRule& rule,
                   double uniform);

// As if `allowed` (ascending ids, at least one) were the vocabulary: the log-probability is
// renormalised over them.
Choice ChooseAmong(const float* logits, const std::vector<int32_t>& allowed,
                   const SamplingRule& rule, double uniform);

// The number that decides a token: a pure function of its arguments.
double SamplingUniform(uint64_t seed, int64_t task_id, int64_t member, int64_t position);

}  // namespace flame

#endif  // FLAME_ROLLOUT_SAMPLER_H_
