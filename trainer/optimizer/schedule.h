// The learning rate over a run.
#ifndef FLAME_TRAINER_OPTIMIZER_SCHEDULE_H_
#define FLAME_TRAINER_OPTIMIZER_SCHEDULE_H_

#include <cstdint>

#include "trainer/options.h"

namespace flame {

// Returns the rate of update `update` (from 1) of `total`, as a share of the peak. With w = warmup:
//   update <= w   update / w: the last update of the warm-up has the peak rate
//   constant      1
//   linear        1 - p          with p = (update - w) / (total + 1 - w)
//   cosine        (1 + cos(pi p)) / 2
//   inverse_sqrt  sqrt(max(w, 1) / update)
// linear and cosine reach 0 one update after the last, so that no update has rate 0. The factors
// are those of transformers' get_scheduler at step `update` with num_training_steps = total + 1.
// Throws UsageError on an unknown schedule.
double LearningRateFactor(const OptimizerOptions& options, int64_t update, int64_t total);

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_SCHEDULE_H_
