#include "rollout/options.h"

namespace flame {

void SamplingOptions::Bind(ConfigSchema* schema) {
  schema->Int("grpo.group_size", &group_size, {.low = 1}, "completions sampled for one list task");
  schema->Number("grpo.temperature", &temperature, {.low = 0, .low_open = true},
                 "of sampling and of the trained log-probabilities");
  schema->Int("grpo.max_tokens", &max_tokens, {.low = 1, .high = 32767},
              "tokens of a completion at most");
}

}  // namespace flame
