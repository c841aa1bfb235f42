// The sampling part of config section `grpo`.
#ifndef FLAME_ROLLOUT_OPTIONS_H_
#define FLAME_ROLLOUT_OPTIONS_H_

#include <cstdint>
#include <string>

#include "base/config.h"
#include "rollout/sampler.h"

namespace flame {

struct SamplingOptions {
  int64_t group_size = 8;    // G, completions of one task
  double temperature = 1.0;  // 0: greedy
  int64_t max_tokens = 512;  // most tokens of a completion
  int64_t top_k = 0;         // as in SamplingRule
  double top_p = 1.0;
  bool greedy_last = false;        // the last of the group is greedy; evaluation alone sets this
  std::string constrain = "none";  // "drugs": every line of a completion names a drug
  SamplingRule Rule() const { return {temperature, top_k, top_p}; }
  // Binds grpo.group_size, grpo.temperature, grpo.max_tokens, grpo.top_k, grpo.top_p,
  // grpo.constrain.
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_ROLLOUT_OPTIONS_H_
