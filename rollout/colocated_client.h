// Rollouts by the learners themselves, alternating with training.
#ifndef FLAME_ROLLOUT_COLOCATED_CLIENT_H_
#define FLAME_ROLLOUT_COLOCATED_CLIENT_H_

#include <functional>
#include <memory>

#include "comm/communicator.h"
#include "rollout/worker.h"

namespace flame {

// Every learner samples its share of a step (DealRequest) with its own copy of the policy. All
// learners must make the same calls. Ready waits until all have sampled and adds the wait to
// *idle_seconds; Collect gives every learner all learners' replies. Only learner 0 uses `shards`,
// as in RemoteRolloutOptions.
std::unique_ptr<RolloutClient> MakeColocatedRolloutClient(
    RolloutWorker* worker, Communicator* learners, std::function<int64_t(int32_t task)> length,
    const ShardFolder* shards, double* idle_seconds);

}  // namespace flame

#endif  // FLAME_ROLLOUT_COLOCATED_CLIENT_H_
