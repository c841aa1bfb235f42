// Which shards of a run stay.
#ifndef FLAME_TRAINER_GRPO_SHARD_RETENTION_H_
#define FLAME_TRAINER_GRPO_SHARD_RETENTION_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "rollout/client.h"

namespace flame {

// Removes what an earlier attempt, cut for other ranks, has left of the step.
void RemoveOtherParts(const std::filesystem::path& folder, int64_t step,
                      const std::vector<RolloutReply>& replies);

// Removes the shards of all but the last `keep` steps up to `step`; 0: none. A training that goes
// on from before them samples them again.
void RemoveOldShards(const std::filesystem::path& folder, int64_t step, int64_t keep);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_SHARD_RETENTION_H_
