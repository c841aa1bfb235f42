// Rollouts by the learners themselves, in turn with training.
#ifndef FLAME_ROLLOUT_COLOCATED_CLIENT_H_
#define FLAME_ROLLOUT_COLOCATED_CLIENT_H_

#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "rollout/worker.h"

namespace flame {

// Every learner samples its share of a step (DealRequest) with its own copy of the policy. All
// learners make the same calls; Ready waits until all have sampled, which is added to
// *idle_seconds, and Collect gives each of them every learner's reply. `shards`: as of
// RemoteRolloutOptions, used by learner 0.
std::unique_ptr<RolloutClient> MakeColocatedRolloutClient(
    RolloutWorker* worker, Communicator* learners, std::function<int64_t(int32_t task)> length,
    const ShardFolder* shards, double* idle_seconds);

}  // namespace flame

#endif  // FLAME_ROLLOUT_COLOCATED_CLIENT_H_
