#include "comm/roles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using Ranks = std::vector<int>;

TEST(Roles, Counts_LearnersThenRolloutsThenRewards) {
  const RankMesh mesh = AssignRoles(6, 3, 2, 3, 1);
  EXPECT_EQ(mesh.learner_ranks, (Ranks{0, 1}));
  EXPECT_EQ(mesh.rollout_ranks, (Ranks{2, 3, 4}));
  EXPECT_EQ(mesh.reward_ranks, (Ranks{5}));
  EXPECT_EQ(mesh.role, Role::kRollout);
  EXPECT_EQ(AssignRoles(6, 1, 2, 3, 1).role, Role::kLearner);
  EXPECT_EQ(AssignRoles(6, 5, 2, 3, 1).role, Role::kReward);
}

TEST(Roles, OneProcess_HoldsEveryRole) {
  for (int learners : {0, 1}) {
    const RankMesh mesh = AssignRoles(1, 0, learners, 0, 0);
    EXPECT_EQ(mesh.role, Role::kAll);
    EXPECT_EQ(mesh.learner_ranks, Ranks{0});
    EXPECT_EQ(mesh.rollout_ranks, Ranks{0});
    EXPECT_EQ(mesh.reward_ranks, Ranks{0});
  }
}

TEST(Roles, Auto_HalfLearnAndEveryRoleIsThereFromThreeRanksOn) {
  const std::vector<std::array<int, 4>> expected = {
      {2, 1, 1, 0}, {3, 1, 1, 1}, {4, 2, 1, 1}, {8, 4, 3, 1}, {16, 8, 6, 2}};
  for (const auto& [size, learners, rollouts, rewards] : expected) {
    const RankMesh mesh = AssignRoles(size, 0, 0, 0, 0);
    EXPECT_EQ(mesh.learner_ranks.size(), learners) << size;
    EXPECT_EQ(mesh.rollout_ranks.size(), rollouts) << size;
    EXPECT_EQ(mesh.reward_ranks.size(), rewards) << size;
  }
}

TEST(Roles, CountsThatDoNotFit_SayCountsAndWorldSize) {
  try {
    AssignRoles(4, 0, 2, 3, 1);
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("found 2 + 3 + 1 for 4 process(es)"));
  }
  EXPECT_THROW(AssignRoles(2, 0, 0, 1, 1), UsageError);
  EXPECT_THROW(AssignRoles(2, 0, 3, -1, 0), UsageError);
}

}  // namespace
}  // namespace flame
