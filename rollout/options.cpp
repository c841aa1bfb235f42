#include "rollout/options.h"

namespace flame {

void SamplingOptions::Bind(ConfigSchema* schema) {
  schema->Int("grpo.group_size", &group_size, {.low = 1}, "completions sampled for one list task");
  schema->Number("grpo.temperature", &temperature, {.low = 0, .low_open = true},
                 "temperature of sampling and of the trained log-probabilities");
  schema->Int("grpo.max_tokens", &max_tokens, {.low = 1, .high = 32767},
              "largest number of tokens of a completion");
  schema->Int("grpo.top_k", &top_k, {.low = 0},
              "draw from this many likeliest tokens; 0: from all");
  schema->Number("grpo.top_p", &top_p, {.low = 0, .high = 1, .low_open = true},
                 "draw from the smallest set of most likely tokens whose total probability is at "
                 "least this; 1: from all");
  schema->Choice("grpo.constrain", &constrain, {"none", "drugs"},
                 "none: free text; drugs: every line of a sampled or evaluated list names a drug "
                 "of the corpus");
}

}  // namespace flame
