// The folder of a run's shards: their names, and which of them a resumed run can reuse.
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
  uint64_t seed = 0;          // the run's seed
  std::string config_sha256;  // ShardInfo's

  // Returns folder/step-000012-part-003.h5.
  std::filesystem::path PathOf(const RolloutRequest& request) const;
  // True, with `reply` filled, if the folder has a whole shard of the same request, seed and
  // settings. A training that resumes from a checkpoint finds the shards of the steps after it;
  // sampling again would give the same ones.
  bool Find(const RolloutRequest& request, RolloutReply* reply) const;
};

int64_t TokensOf(const std::vector<Group>& groups);  // tokens of all completions

}  // namespace flame

#endif  // FLAME_ROLLOUT_SHARD_FOLDER_H_
