// Which rank does what.
#ifndef FLAME_COMM_ROLES_H_
#define FLAME_COMM_ROLES_H_

#include <string>
#include <vector>

namespace flame {

enum class Role { kAll, kLearner, kRollout, kReward };

// Ranks of the job by role, each list ascending: learners first, then rollouts, then rewards.
// Alone, rank 0 is in every list. An empty list of rollouts or rewards: the learners do it.
struct RankMesh {
  Role role = Role::kAll;  // of this rank; kAll when the job is one process
  std::vector<int> learner_ranks, rollout_ranks, reward_ranks;
};

// The counts must sum to world_size with at least one learner, else UsageError. All 0 means auto:
// half the ranks learn, the rest roll out except for a quarter of them (at least one if there are
// two) that score. Worked example: AssignRoles(8, 5, 0, 0, 0): learners 0-3, rollouts 4-6,
// reward 7, role kRollout.
RankMesh AssignRoles(int world_size, int rank, int learners, int rollouts, int rewards);

// Ranks of each role in proportion to the work done by it, in any unit; at least one of each, as
// many as `ranks` in all (at least as many as roles).
std::vector<int> SuggestSplit(const std::vector<double>& work, int ranks);

std::string RoleName(Role role);  // "learner", "rollout", "reward", "all"

}  // namespace flame

#endif  // FLAME_COMM_ROLES_H_
