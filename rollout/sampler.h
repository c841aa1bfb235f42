// Choosing the next token from a row of logits.
#ifndef FLAME_ROLLOUT_SAMPLER_H_
#define FLAME_ROLLOUT_SAMPLER_H_

#include <cstdint>

namespace flame {

struct Choice {
  int32_t token = -1;
  float logprob = 0;
};

// The first token whose cumulative probability under softmax(logits / temperature), summed in
// double in order of token id, exceeds `uniform` (in [0, 1)); the log-probability is at that
// temperature. Temperature 0: the largest logit, the lowest id among equals; its log-probability is
// at temperature 1. Token -1 where the logits are not finite.
Choice ChooseToken(const float* logits, int64_t vocab_size, double temperature, double uniform);

// The number that decides a token: a pure function of its arguments.
double SamplingUniform(uint64_t seed, int64_t task_id, int64_t member, int64_t position);

}  // namespace flame

#endif  // FLAME_ROLLOUT_SAMPLER_H_
