#include "rollout/options.h"

namespace flame {

void SamplingOptions::Bind(ConfigSchema* schema) {
  schema->Int("grpo.group_size", &group_size, {.low = 1}, "completions sampled for one list task");
  schema->Number("grpo.temperature", &temperature, {.low = 0, .low_open = true},
                 "of sampling and of the trained log-probabilities");
  schema->Int("grpo.max_tokens", &max_tokens, {.low = 1, .high = 32767},
              "tokens of a completion at most");
  schema->Int("grpo.top_k", &top_k, {.low = 0},
              "draw from the so many likeliest tokens; 0: from all");
  schema->Number("grpo.top_p", &top_p, {.low = 0, .high = 1, .low_open = true},
                 "draw from the likeliest tokens of this probability together; 1: from all");
  schema->Choice("grpo.constrain", &constrain, {"none", "drugs"},
                 "drugs: every line of a sampled or evaluated list names a drug of the corpus");
}

}  // namespace flame
