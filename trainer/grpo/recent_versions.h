// The versions behind the present one, for rollouts that run ahead of training.
#ifndef FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_
#define FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_

#include <cstdint>
#include <vector>

#include "trainer/training_run.h"

namespace flame {

// The trained weights of the last `count` versions, as the shards that the optimizer works on. They
// are saved and resumed with the run: the steps ahead of a checkpoint sample under them.
class RecentVersions {
 public:
  // Before run->Resume().
  RecentVersions(int64_t count, TrainingRun* run);
  // Before an update: the present weights become the last version.
  void Push();
  // Exchanges the present weights and those of `age` versions ago (1: the last); collective.
  void Swap(int64_t age);

 private:
  TrainingRun* run_;
  std::vector<NamedTensors> copies_;  // oldest first
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_RECENT_VERSIONS_H_
