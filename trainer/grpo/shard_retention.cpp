#include "trainer/grpo/shard_retention.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>

namespace flame {
namespace {

namespace fs = std::filesystem;

// Removes the shards for which `gone` returns true.
void RemoveShards(const fs::path& folder,
                  const std::function<bool(const fs::path& name, int64_t step)>& gone) {
  if (!fs::is_directory(folder)) return;
  std::vector<fs::path> removed;
  for (const auto& entry : fs::directory_iterator(folder)) {
    long long step = 0, part = 0;
    const fs::path name = entry.path().filename();
    if (std::sscanf(name.c_str(), "step-%lld-part-%lld.h5", &step, &part) != 2) continue;
    if (gone(name, step)) removed.push_back(entry.path());
  }
  for (const fs::path& path : removed) fs::remove(path);
}

}  // namespace

void RemoveOtherParts(const fs::path& folder, int64_t step,
                      const std::vector<RolloutReply>& replies) {
  RemoveShards(folder, [&](const fs::path& name, int64_t of_step) {
    return of_step == step &&
           std::none_of(replies.begin(), replies.end(),
                        [&](const RolloutReply& reply) { return reply.shard.filename() == name; });
  });
}

void RemoveOldShards(const fs::path& folder, int64_t step, int64_t keep) {
  if (keep == 0) return;
  RemoveShards(folder, [&](const fs::path&, int64_t of_step) { return of_step <= step - keep; });
}

}  // namespace flame
