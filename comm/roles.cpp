#include "comm/roles.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace flame {
namespace {

std::vector<int> RanksFrom(int first, int count) {
  std::vector<int> ranks(count);
  std::iota(ranks.begin(), ranks.end(), first);
  return ranks;
}

}  // namespace

RankMesh AssignRoles(int world_size, int rank, int learners, int rollouts, int rewards) {
  if (learners == 0 && rollouts == 0 && rewards == 0) {
    learners = std::max(1, world_size / 2);
    const int others = world_size - learners;
    rewards = others < 2 ? 0 : std::max(1, others / 4);
    rollouts = others - rewards;
  }
  if (learners < 1 || rollouts < 0 || rewards < 0 || learners + rollouts + rewards != world_size) {
    throw UsageError("cluster.learners + cluster.rollouts + cluster.rewards must be the number of ",
                     "processes with at least one learner; found ", learners, " + ", rollouts,
                     " + ", rewards, " for ", world_size, " process(es)");
  }
  if (world_size == 1) return {Role::kAll, {0}, {0}, {0}};
  RankMesh mesh;
  mesh.learner_ranks = RanksFrom(0, learners);
  mesh.rollout_ranks = RanksFrom(learners, rollouts);
  mesh.reward_ranks = RanksFrom(learners + rollouts, rewards);
  mesh.role = rank < learners              ? Role::kLearner
              : rank < learners + rollouts ? Role::kRollout
                                           : Role::kReward;
  return mesh;
}

// Gives each remaining rank to the role with the most work per rank.
std::vector<int> SuggestSplit(const std::vector<double>& work, int ranks) {
  std::vector<int> split(work.size(), 1);
  for (int left = ranks - static_cast<int>(work.size()); left > 0; --left) {
    size_t most = 0;
    for (size_t r = 1; r < work.size(); ++r) {
      if (work[r] / split[r] > work[most] / split[most]) most = r;
    }
    ++split[most];
  }
  return split;
}

}  // namespace flame
