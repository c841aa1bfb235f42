// The inputs of a GRPO training.
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
  RewardOptions reward;  // the report uses alpha and beta
  ShardingOptions sharding;
  bool recompute = false;  // see ForwardOptions::recompute
  uint64_t seed = 0;
  std::filesystem::path folder;         // holds checkpoints/, metrics.jsonl and rollouts/
  std::string config_sha256, settings;  // see CheckpointInfo
  const LineTrie* lines = nullptr;      // see RolloutContext
  RolloutClient* rollouts = nullptr;    // null except on learner 0; colocated: set on all learners
  bool carry_shards =
      false;  // true: only learner 0 sees the shard files and sends them to the rest
  Communicator* learners = nullptr;        // null means one rank
  Communicator* on_device = nullptr;       // see ShardGroups
  std::function<void(const Policy&)> end;  // see SftJob::end
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_JOB_H_
