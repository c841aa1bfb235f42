#include "rollout/shard_folder.h"

#include <cstdio>

#include "base/error.h"
#include "base/log.h"

namespace flame {

std::filesystem::path ShardFolder::PathOf(const RolloutRequest& request) const {
  char name[64];
  std::snprintf(name, sizeof(name), "step-%06lld-part-%03lld.h5",
                static_cast<long long>(request.step), static_cast<long long>(request.part));
  return folder / name;
}

bool ShardFolder::Find(const RolloutRequest& request, RolloutReply* reply) const {
  const std::filesystem::path path = PathOf(request);
  if (!std::filesystem::exists(path)) return false;
  ShardInfo info;
  std::vector<Group> groups;
  try {
    groups = ReadShard(path, &info);
  } catch (const DataError& error) {
    LogWarning(error.what(), "; it is sampled again");
    return false;
  }
  bool same = info.seed == static_cast<int64_t>(seed) && info.step == request.step &&
              info.config_sha256 == config_sha256 && groups.size() == request.tasks.size();
  for (size_t g = 0; same && g < groups.size(); ++g) {
    same = groups[g].task_id == request.task_ids[g] && groups[g].task == request.tasks[g] &&
           groups[g].policy_version == request.policy_version;
  }
  if (!same) return false;
  reply->shard = path;
  reply->tokens_sampled = TokensOf(groups);
  reply->reused = true;
  return true;
}

int64_t TokensOf(const std::vector<Group>& groups) {
  int64_t tokens = 0;
  for (const Group& group : groups) {
    for (const Trajectory& member : group.members) {
      tokens += static_cast<int64_t>(member.tokens.size());
    }
  }
  return tokens;
}

}  // namespace flame
