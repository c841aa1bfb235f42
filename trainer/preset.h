// Named sets of defaults of the sections `grpo` and `credit`.
#ifndef FLAME_TRAINER_PRESET_H_
#define FLAME_TRAINER_PRESET_H_

#include "trainer/credit.h"
#include "trainer/options.h"

namespace flame {

// Sets the defaults of grpo->preset:
//   none  leaves all as it is
//   standard  credit.lambda 0: GRPO of the outcome alone
//   trl   what TRL 1.16's GRPOConfig sets: its loss (DAPO's, token; `grpo.normalizer` sequence,
//         token or constant is its loss_type grpo, dapo or dr_grpo; bnpo is token where a step is
//         one micro-batch), no KL term unless asked for and then weighted by the ratio, advantages
//         of the outcome alone, its AdamW and linear schedule. Adapters stay: its reference policy
//         is them off, too.
// Throws UsageError on another name.
void ApplyPreset(GrpoOptions* grpo, CreditOptions* credit);

}  // namespace flame

#endif  // FLAME_TRAINER_PRESET_H_
