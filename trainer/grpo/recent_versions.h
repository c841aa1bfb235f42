// Earlier versions of the trained weights, for rollouts that run ahead of training.
#ifndef FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_
#define FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_

#include <cstdint>
#include <vector>

#include "trainer/training_run.h"

namespace flame {

// The trained weights of the last `count` versions, as the shards that the optimizer works on. They
// are saved and resumed with the run, because steps after a checkpoint sample under them.
class RecentVersions {
 public:
  // Call before run->Resume().
  RecentVersions(int64_t count, TrainingRun* run);
  // Records the current weights as the last version. Call before an update.
  void Push();
  // Exchanges the current weights with those of `age` versions ago (1: the last). Collective.
  void Swap(int64_t age);

 private:
  TrainingRun* run_;
  std::vector<NamedTensors> copies_;  // oldest first
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_
