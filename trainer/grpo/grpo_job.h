// What a GRPO training is given.
#ifndef FLAME_TRAINER_GRPO_GRPO_JOB_H_
#define FLAME_TRAINER_GRPO_GRPO_JOB_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "comm/communicator.h"
#include "model/policy.h"
#include "reward/options.h"
#include "rollout/client.h"
#include "rollout/line_trie.h"
#include "trainer/credit.h"
#include "trainer/options.h"
#include "trainer/sharding/sharding.h"

namespace flame {

struct GrpoJob {
  Policy* policy = nullptr;  // with adapters
  int64_t num_tasks = 0;     // size of the task list
  GrpoOptions options;
  CreditOptions credit;
  RewardOptions reward;  // alpha and beta, for the report
  ShardingOptions sharding;
  bool recompute = false;  // ForwardOptions::recompute
  uint64_t seed = 0;
  std::filesystem::path folder;         // checkpoints/, metrics.jsonl, rollouts/
  std::string config_sha256, settings;  // as CheckpointInfo
  const LineTrie* lines = nullptr;      // RolloutContext's
  RolloutClient* rollouts = nullptr;    // on learner 0 only, null elsewhere; or on all (colocated)
  bool carry_shards = false;          // only learner 0 sees their files: it sends them to the rest
  Communicator* learners = nullptr;   // null: one rank
  Communicator* on_device = nullptr;  // as ShardGroups
  std::function<void(const Policy&)> end;  // as SftJob::end
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_JOB_H_
