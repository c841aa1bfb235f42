#include "trainer/preset.h"

#include "base/error.h"

namespace flame {

void ApplyPreset(GrpoOptions* grpo, CreditOptions* credit) {
  if (grpo->preset == "none") return;
  if (grpo->preset == "standard") {
    credit->lambda = 0;
    return;
  }
  if (grpo->preset != "trl") {
    throw UsageError("grpo.preset is '", grpo->preset, "'; expected none, standard or trl");
  }
  grpo->optimizer = {.learning_rate = 1e-6,
                     .schedule = "linear",
                     .warmup = 0,
                     .weight_decay = 0,
                     .beta1 = 0.9,
                     .beta2 = 0.999,
                     .epsilon = 1e-8,
                     .grad_clip = 1.0};
  grpo->sampling = SamplingOptions();
  grpo->sampling.group_size = 8;
  grpo->sampling.temperature = 1;
  grpo->sampling.max_tokens = 512;
  grpo->clip = 0.2;
  grpo->kl = 0;
  grpo->kl_estimator = "k3_ratio";
  grpo->normalizer = "token";
  grpo->iterations = 1;
  credit->lambda = 0;
  credit->epsilon = 1e-4;
}

}  // namespace flame
