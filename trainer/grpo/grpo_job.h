// The inputs of a GRPO training.
#ifndef FLAME_TRAINER_GRPO_GRPO_JOB_H_
#define FLAME_TRAINER_GRPO_GRPO_JOB_H_

#include <cstdint>

#include "reward/options.h"
#include "rollout/client.h"
#include "rollout/line_trie.h"
#include "trainer/credit/credit.h"
#include "trainer/options.h"
#include "trainer/training_job.h"

namespace flame {

// The policy has adapters. The folder holds rollouts/ too.
struct GrpoJob : PolicyJob {
  int64_t num_tasks = 0;  // size of the task list
  GrpoOptions options;
  CreditOptions credit;
  RewardOptions reward;               // the report uses alpha and beta
  const LineTrie* lines = nullptr;    // see RolloutContext
  RolloutClient* rollouts = nullptr;  // null except on learner 0; colocated: set on all learners
  // True: only learner 0 sees the shard files and sends them to the rest.
  bool carry_shards = false;
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_JOB_H_
