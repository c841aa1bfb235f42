// Sampling part of the config section `grpo`.
#ifndef FLAME_ROLLOUT_OPTIONS_H_
#define FLAME_ROLLOUT_OPTIONS_H_

#include <cstdint>

#include "base/config.h"

namespace flame {

struct SamplingOptions {
  int64_t group_size = 8;    // G
  double temperature = 1.0;  // 0: greedy
  int64_t max_tokens = 512;  // of a completion
  void Bind(ConfigSchema* schema);  // grpo.group_size, grpo.temperature, grpo.max_tokens
};

}  // namespace flame

#endif  // FLAME_ROLLOUT_OPTIONS_H_
