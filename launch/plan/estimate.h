// A stage's plan: the memory of each role, the work of a step and its duration.
#ifndef FLAME_LAUNCH_PLAN_ESTIMATE_H_
#define FLAME_LAUNCH_PLAN_ESTIMATE_H_

#include <string>
#include <vector>

#include "launch/plan/work.h"

namespace flame {

struct RolePlan {
  std::string role;  // learner, rollout or reward; "all" if every process does everything
  int64_t ranks = 0;
  int64_t peak = 0;   // bytes
  PartBytes parts{};  // breakdown at the peak
};

// Numbers of weights that a token is multiplied with; a quantised map counts as the map that it
// stands for. `frozen` and `trainable` are those of the blocks; `head` counts for asked-for tokens
// only. A pair of a query and a key costs 4 `attention` FLOPs in a forward.
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
  double decode_bytes = 0;      // read by a rollout rank per step: all weights per token position
  int64_t most_slots = 0;       // branches that a rollout rank decodes at the same time, at most
  double collective_bytes = 0;  // received by a learner per step
  // Adapters of the versions sampled under and of the next version, in memory that ranks share
  // beside their own: once per host (rollout/adapter_transfer.h), or once per rank if every rank
  // does everything.
  int64_t shared_bytes = 0;
  double seconds_learn = 0, seconds_communicate = 0, seconds_rollout = 0;
};

// Speeds of one rank: FLOP/s, bytes/s received from other ranks, and bytes/s read from its own
// memory. `memory` 0 means unknown: decoding is then planned as arithmetic alone.
struct Speed {
  double flops = 0, bandwidth = 0, memory = 0;
};

struct Machines {
  int64_t ranks = 1, ranks_a_node = 1;
};

// Plans a stage without reading weights. Throws UsageError if the roles do not fit the ranks, and
// DataError if config.json is damaged.
StagePlan PlanStage(const Config& config, const std::string& stage, const Machines& machines,
                    const Speed& speed);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_ESTIMATE_H_
