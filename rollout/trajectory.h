// Sampled groups with their verdicts, and the HDF5 shard that carries them to the learners.
#ifndef FLAME_ROLLOUT_TRAJECTORY_H_
#define FLAME_ROLLOUT_TRAJECTORY_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "reward/verdict.h"

namespace flame {

struct Trajectory {
  std::vector<int32_t> tokens;  // the completion; ends with end-of-text unless cut at max_tokens
  // [tokens]: under the policy that sampled them, as ChooseToken returns them.
  std::vector<float> logprobs;
  Verdict verdict;
};

// G completions of one list task. Worked example: with 8 tasks a step, the task at place 3 of step
// 2 (both from 0) has task_id 2 * 8 + 3 = 19, whatever its `task`, so that no two groups of a run
// share a task_id.
struct Group {
  int64_t task_id = 0;          // unique over the run
  int32_t task = 0;             // index in the task file
  int64_t policy_version = 0;   // version of the weights that sampled it
  std::vector<int32_t> prompt;  // the trunk
  std::vector<Trajectory> members;
};

struct ShardInfo {
  int64_t seed = 0, step = 0, rank = 0;
  std::string config_sha256;
};

// Encode and decode a shard; docs/formats.md has the schema: the HDF5 group `trajectories`. Each
// Group in a shard must have members. Decoding checks the seal (base/files/seal.h), the schema, and
// every offset and size. Throws DataError naming the file (`name`) and, unless the file is cut off
// or altered, the field.
std::string EncodeShard(const std::vector<Group>& groups, const ShardInfo& info);
std::vector<Group> DecodeShard(std::string_view bytes, const std::string& name,
                               ShardInfo* info = nullptr);
// Write and read the same bytes as a file. Writing is atomic.
void WriteShard(const std::vector<Group>& groups, const ShardInfo& info,
                const std::filesystem::path& path);
std::vector<Group> ReadShard(const std::filesystem::path& path, ShardInfo* info = nullptr);

}  // namespace flame

#endif  // FLAME_ROLLOUT_TRAJECTORY_H_
