// Removal of a run's shards.
#ifndef FLAME_TRAINER_GRPO_SHARD_RETENTION_H_
#define FLAME_TRAINER_GRPO_SHARD_RETENTION_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "rollout/client.h"

namespace flame {

// Removes the step's shards that are not among `replies`: an earlier attempt, cut for another
// number of ranks, left them.
void RemoveOtherParts(const std::filesystem::path& folder, int64_t step,
                      const std::vector<RolloutReply>& replies);

// Keeps the shards of the last `keep` steps up to `step` and removes those of earlier steps; `keep`
// 0 removes nothing. A training that resumes before a removed step samples it again.
void RemoveOldShards(const std::filesystem::path& folder, int64_t step, int64_t keep);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_SHARD_RETENTION_H_
