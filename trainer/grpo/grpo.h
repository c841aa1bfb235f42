// The step-wise GRPO loop of a learner.
#ifndef FLAME_TRAINER_GRPO_GRPO_H_
#define FLAME_TRAINER_GRPO_GRPO_H_

#include <array>
#include <cstdint>

#include "trainer/grpo/grpo_job.h"

namespace flame {

struct GrpoReport {
  int64_t steps = 0;
  // reward_mean over the first and last fifth of the steps.
  double first_reward = 0, last_reward = 0;
  // Of this call, and of it waiting for rollouts, learning and syncing.
  double seconds = 0, seconds_wait = 0, seconds_learn = 0, seconds_sync = 0;
  // The same of the steps that this call found done (learner 0 alone), by metrics.jsonl.
  std::array<double, 4> earlier = {};
};

// Each step (from 0): learner 0 draws tasks (epoch-wise shuffles of the list; task_id = step *
// tasks + place), has them rolled out and scored, every learner reads the shards and trains on its
// share of the groups, the adapters are synced as version step + 1. Step t samples under version
// max(0, t - options.staleness), so that it can run while the steps before it are trained. Resumes
// from folder/checkpoints, with the versions that the steps ahead need. Throws Stopped after saving
// if a stop was requested.
GrpoReport RunGrpo(const GrpoJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_H_
