// The rollouts of one step as the learners read them from shards, with their credit.
#ifndef FLAME_TRAINER_GRPO_GRPO_BATCH_H_
#define FLAME_TRAINER_GRPO_GRPO_BATCH_H_

#include <filesystem>
#include <string>
#include <vector>

#include "rollout/client.h"
#include "rollout/trajectory.h"
#include "trainer/credit.h"
#include "trainer/losses.h"
#include "trainer/step_report.h"

namespace flame {

struct GrpoBatch {
  std::vector<Group> groups;           // in order of the request
  std::vector<Advantages> advantages;  // one a group
  StepTotals totals;                   // `max_tokens` is the caller's to set
  int64_t staleness = 0;               // updates since the policy that sampled
};

// Where the groups of one part are: in a file, or in the bytes of one that this learner cannot see.
struct ShardSource {
  std::filesystem::path path;
  std::string bytes;  // empty: they are read from `path`
};

// Reads the shards of `request`. Throws DataError naming the shard and the task if its groups are
// not the ones asked for, each once and of the asked-for policy version, or if a completion has no
// token or not one log-probability and step a token.
GrpoBatch ReadGrpoBatch(const std::vector<ShardSource>& shards, const RolloutRequest& request,
                        const CreditOptions& credit);

// Fills the reward, phi and advantage fields and tokens_trained.
void ReportRewards(const GrpoBatch& batch, StepReport* report);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_GRPO_BATCH_H_
