// The step-wise GRPO loop of a learner.
#ifndef FLAME_TRAINER_GRPO_GRPO_H_
#define FLAME_TRAINER_GRPO_GRPO_H_

#include <array>
#include <cstdint>

#include "trainer/grpo/grpo_job.h"

namespace flame {

struct GrpoReport {
  int64_t steps = 0;
  // Means of reward_mean over the first and last fifth of the steps.
  double first_reward = 0, last_reward = 0;
  // Duration of this call, and the parts of it spent waiting for rollouts, learning and syncing.
  double seconds = 0, seconds_wait = 0, seconds_learn = 0, seconds_sync = 0;
  // The four durations for steps done before this call, from metrics.jsonl; on learner 0 only.
  std::array<double, 4> earlier = {};
};

// Trains to the last step. In each step (from 0) learner 0 draws tasks (the list is shuffled anew
// every epoch; task_id = step * tasks + place) and has them rolled out and scored. Then every
// learner reads the shards and trains on its share of the groups, and the adapters are synced as
// version step + 1. Step t samples under version max(0, t - options.staleness), so that it can be
// sampled while earlier steps are trained. Resumes from folder/checkpoints, with the versions that
// the steps ahead need. Throws Stopped after saving if a stop was requested.
GrpoReport RunGrpo(const GrpoJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_H_
