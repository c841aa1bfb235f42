// Chooses the next token from a row of logits.
#ifndef FLAME_ROLLOUT_SAMPLER_H_
#define FLAME_ROLLOUT_SAMPLER_H_

#include <cstdint>
#include <vector>

namespace flame {

struct SamplingRule {
  double temperature = 1;  // 0: greedy
  int64_t top_k = 0;       // draw from this many likeliest tokens; 0: from all
  // Draws from the smallest set of most likely tokens whose total probability, after top_k and
  // renormalisation, is at least this, in (0, 1]. Of equally likely tokens the lower id comes
  // first.
  double top_p = 1;
};

struct Choice {
  int32_t token = -1;
  float logprob = 0;
};

// Returns the first token, in order of id, whose cumulative probability exceeds `uniform` (in
// [0, 1)), under softmax(logits / temperature) among the tokens that `rule` leaves. Temperature 0:
// the largest logit, the lowest id among equals. Returns token -1 if the logits are not finite;
// single logits may be minus infinity.
//
// The log-probability is the policy's at that temperature (1 if it is 0) over the whole vocabulary,
// whatever top_k and top_p leave: a learner computes the same for the importance ratio. Weights are
// float32, their sums float64.
Choice ChooseToken(const float* logits, int64_t vocab_size, const SamplingRule& rule,
                   double uniform);

// Like ChooseToken with `allowed` (ascending ids, at least one) as the vocabulary: the
// log-probability is renormalised over them.
Choice ChooseAmong(const float* logits, const std::vector<int32_t>& allowed,
                   const SamplingRule& rule, double uniform);

// Returns the uniform number that draws a token: a pure function of its arguments.
double SamplingUniform(uint64_t seed, int64_t task_id, int64_t member, int64_t position);

}  // namespace flame

#endif  // FLAME_ROLLOUT_SAMPLER_H_
