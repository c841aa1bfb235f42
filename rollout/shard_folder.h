// The folder of a run's shards: names, and which of them a resumed run can use again.
#ifndef FLAME_ROLLOUT_SHARD_FOLDER_H_
#define FLAME_ROLLOUT_SHARD_FOLDER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "rollout/client.h"
#include "rollout/trajectory.h"

namespace flame {

struct ShardFolder {
  std::filesystem::path folder;
  uint64_t seed = 0;          // of the run
  std::string config_sha256;  // ShardInfo's

  // folder/step-000012-part-003.h5
  std::filesystem::path PathOf(const RolloutRequest& request) const;
  // True where a whole shard of the same request, seed and settings lies there; fills the reply. A
  // training that goes on from a checkpoint meets the shards of the steps behind it: they are what
  // would be sampled again.
  bool Find(const RolloutRequest& request, RolloutReply* reply) const;
};

int64_t TokensOf(const std::vector<Group>& groups);  // of the completions

}  // namespace flame

#endif  // FLAME_ROLLOUT_SHARD_FOLDER_H_
