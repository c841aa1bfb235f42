// The roles of the ranks of a job.
#ifndef FLAME_COMM_ROLES_H_
#define FLAME_COMM_ROLES_H_

#include <vector>

namespace flame {

enum class Role { kAll, kLearner, kRollout, kReward };

// The ranks of the job by role, each list ascending: learners come first, then rollouts, then
// rewards. In a job of one process rank 0 is in every list. If the list of rollouts or of rewards
// is empty, the learners do that work.
struct RankMesh {
  Role role = Role::kAll;  // this rank's role; kAll if the job is one process
  std::vector<int> learner_ranks, rollout_ranks, reward_ranks;
};

// Throws UsageError unless the counts sum to world_size with at least one learner. Counts that are
// all 0 mean auto: half the ranks learn, and of the others a quarter score (at least one if they
// are two or more) and the rest roll out. Worked example: AssignRoles(8, 5, 0, 0, 0): learners 0-3,
// rollouts 4-6, reward 7, role kRollout.
RankMesh AssignRoles(int world_size, int rank, int learners, int rollouts, int rewards);

// Splits `ranks` over the roles in proportion to the work of each, in any unit. Each role gets at
// least one, so `ranks` must be at least the number of roles.
std::vector<int> SuggestSplit(const std::vector<double>& work, int ranks);

}  // namespace flame

#endif  // FLAME_COMM_ROLES_H_
