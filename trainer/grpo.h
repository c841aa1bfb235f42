// The step-wise GRPO loop of a learner.
#ifndef FLAME_TRAINER_GRPO_H_
#define FLAME_TRAINER_GRPO_H_

#include <array>
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
#include "trainer/sharding.h"
#include "trainer/step_report.h"

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

#endif  // FLAME_TRAINER_GRPO_H_
