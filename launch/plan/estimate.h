// A stage's plan: memory of each role, work of a step and how long it takes.
#ifndef FLAME_LAUNCH_PLAN_ESTIMATE_H_
#define FLAME_LAUNCH_PLAN_ESTIMATE_H_

#include <string>
#include <vector>

#include "launch/plan/work.h"

namespace flame {

struct RolePlan {
  std::string role;  // learner, rollout, reward; all where one process does everything
  int64_t ranks = 0;
  int64_t peak = 0;   // bytes
  PartBytes parts{};  // at the peak
};

// Weights that a token is multiplied with, quantised ones by what they stand for: of the blocks,
// and the head's where a token is asked for. A query and a key cost 4 `attention` in a forward.
struct MultipliedWeights {
  double frozen = 0, trainable = 0, head = 0, attention = 0;
  bool head_trained = false;
};

struct StagePlan {
  std::string stage;
  StageWork work;
  MultipliedWeights weights;
  std::vector<RolePlan> roles;
  double model_flops = 0, attention_flops = 0, recomputed_flops = 0, rollout_flops = 0;
  double decode_bytes = 0;      // that a rollout rank reads: its weights for every token it writes
  double collective_bytes = 0;  // that a learner receives
  // Versions of the adapters that are sampled under and the next, in memory that ranks share beside
  // their own: once a host (rollout/adapter_transfer.h), where every rank does everything once
  // each.
  int64_t shared_bytes = 0;
  double seconds_learn = 0, seconds_communicate = 0, seconds_rollout = 0;
};

// Of a rank: FLOP/s, bytes/s that it receives from others, and that it reads of its own memory (0:
// not known, decoding is planned as arithmetic alone).
struct Speed {
  double flops = 0, bandwidth = 0, memory = 0;
};

struct Machines {
  int64_t ranks = 1, ranks_a_node = 1;
};

// Throws UsageError where the roles do not fit the ranks, DataError on a bad config.json. Weights
// are not read.
StagePlan PlanStage(const Config& config, const std::string& stage, const Machines& machines,
                    const Speed& speed);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_ESTIMATE_H_
