// Named sets of defaults for the sections `grpo` and `credit`.
#ifndef FLAME_TRAINER_PRESET_H_
#define FLAME_TRAINER_PRESET_H_

#include "trainer/credit/credit.h"
#include "trainer/options.h"

namespace flame {

// Sets the defaults that grpo->preset names:
//   none      changes nothing
//   standard  credit.lambda 0: GRPO of the outcome alone
//   trl       the values of TRL 1.16's GRPOConfig: DAPO's loss (grpo.normalizer token), no KL term
//             unless asked for and then weighted by the ratio, advantages of the outcome alone,
//             TRL's AdamW and linear schedule. grpo.normalizer sequence, token and constant are
//             TRL's loss_type grpo, dapo and dr_grpo; bnpo equals token if a step is one
//             micro-batch. Adapters do not change: TRL's reference policy also has them off.
// Throws UsageError on any other name.
void ApplyPreset(GrpoOptions* grpo, CreditOptions* credit);

}  // namespace flame

#endif  // FLAME_TRAINER_PRESET_H_
