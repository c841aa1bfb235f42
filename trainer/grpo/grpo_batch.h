// The rollouts of one step as the learners read them from shards, with their credit.
#ifndef FLAME_TRAINER_GRPO_GRPO_BATCH_H_
#define FLAME_TRAINER_GRPO_GRPO_BATCH_H_

#include <filesystem>
#include <string>
#include <vector>

#include "rollout/client.h"
#include "rollout/trajectory.h"
#include "trainer/credit/credit.h"
#include "trainer/losses.h"
#include "trainer/step_report.h"

namespace flame {

struct GrpoBatch {
  std::vector<Group> groups;           // in the request's order
  std::vector<Advantages> advantages;  // one per group
  StepTotals totals;                   // the caller sets `max_tokens`
  int64_t staleness = 0;               // versions between the policy that sampled and this one
};

// The shard of one part: a file, or the bytes of a file that this learner cannot see.
struct ShardSource {
  std::filesystem::path path;
  std::string bytes;  // empty: the shard is read from `path`
};

// Reads the shards of `request`. Throws DataError, naming the shard and the task, unless they hold
// exactly the requested groups, each once and of the requested policy version, and every completion
// has at least one token and one log-probability and step per token.
GrpoBatch ReadGrpoBatch(const std::vector<ShardSource>& shards, const RolloutRequest& request,
                        const CreditOptions& credit);

// Fills the report's reward, phi and advantage fields and tokens_trained.
void ReportRewards(const GrpoBatch& batch, StepReport* report);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_BATCH_H_
