// GRPO over the ranks of a job: each rank learns, rolls out or scores.
#ifndef FLAME_LAUNCH_RUN_GRPO_ROLES_H_
#define FLAME_LAUNCH_RUN_GRPO_ROLES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/list_task.h"
#include "launch/config/config.h"
#include "model/policy.h"
#include "recommend/materials.h"
#include "rollout/line_trie.h"
#include "trainer/grpo/grpo.h"

namespace flame {

// Throws UsageError if config.cluster does not fit the number of ranks.
void CheckRoles(const Config& config, Communicator* world);

// Returns true if this rank of `world` is a reward rank of GRPO: reward ranks use no device. Throws
// UsageError as CheckRoles does.
bool OnlyScores(const ClusterOptions& cluster, const Communicator* world);

// Returns a job for RunGrpo; the caller adds the communicators and the rollout client.
GrpoJob MakeGrpoJob(const Config& config, const std::vector<ListTask>& tasks, Policy* policy,
                    const std::string& inputs_sha256, const std::string& settings);

// Trains the adapters of the policy that `load` opens. If `world` is null or has one rank, this
// process has every role. Otherwise each rank serves the role that config.cluster gives it until
// learner 0 is done. `end` is GrpoJob::end of the learners. Reward ranks load no policy.
void RunGrpoRoles(const Config& config, const Materials& materials,
                  const std::vector<ListTask>& tasks, const std::function<Policy()>& load,
                  std::function<void(const Policy&)> end, const std::string& inputs_sha256,
                  const std::string& settings, Communicator* world);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_GRPO_ROLES_H_
