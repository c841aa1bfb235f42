#include "trainer/grpo/reward_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flame {
namespace {

using ::testing::HasSubstr;

Trajectory Member(std::vector<float> jaccard, std::vector<float> ddi, std::vector<float> refusal,
                  float reward, int32_t lines = 2, int32_t refused = 0) {
  Trajectory member;
  member.verdict.phi = jaccard;  // only its size matters here
  member.verdict.phi_jaccard = std::move(jaccard);
  member.verdict.phi_ddi = std::move(ddi);
  member.verdict.phi_refusal = std::move(refusal);
  member.verdict.reward = reward;
  member.verdict.num_lines = lines;
  member.verdict.num_refused = refused;
  return member;
}

TEST(Distribution, OfSmallSets_IsThatByHand) {
  const Distribution d = DistributionOf({5, 1, 4, 2, 3});
  EXPECT_DOUBLE_EQ(d.mean, 3);
  EXPECT_DOUBLE_EQ(d.std, std::sqrt(2.0));
  EXPECT_EQ(d.p10, 1);
  EXPECT_EQ(d.p50, 3);
  EXPECT_EQ(d.p90, 5);
  EXPECT_EQ(DistributionOf({}).p50, 0);
  EXPECT_EQ(DistributionOf({7}).p10, 7);
}

// With alpha 2 and beta 0.5, the first member moves the Jaccard term by 0.5 and 0.25, the DDI term
// by -1 and 0, and the refusal term by 0 and -0.25. The second member moves nothing.
TEST(RewardReport, OfTwoMembers_IsThatByHand) {
  RewardOptions reward;
  reward.alpha = 2, reward.beta = 0.5;
  const std::vector<Group> groups = {
      {0,
       0,
       0,
       {1},
       {Member({0, 0.5, 0.75}, {0, 0.5, 0.5}, {0, 0, 0.5}, 1, 2, 1),
        Member({0.25, 0.25}, {0, 0}, {0, 0}, 0, 2, 0)}},
      {1, 0, 0, {1}, {Member({1}, {0}, {0}, 3, 0, 0), Member({1}, {0}, {0}, 3, 0, 0)}}};
  const RewardReport report = ReportOf(groups, reward);
  EXPECT_DOUBLE_EQ(report.steps[0].mean, 0.25);  // 0.5, 0.25, 0
  EXPECT_DOUBLE_EQ(report.steps[1].p10, -1);     // -1, 0, 0
  EXPECT_DOUBLE_EQ(report.steps[2].p10, -0.25);  // 0, -0.25, 0
  EXPECT_DOUBLE_EQ(report.share[0], 0.75 / 2);
  EXPECT_DOUBLE_EQ(report.share[1], 1.0 / 2);
  EXPECT_DOUBLE_EQ(report.share[2], 0.25 / 2);
  EXPECT_DOUBLE_EQ(report.last[0].mean, 0.75);  // 0.75, 0.25, 1, 1
  EXPECT_DOUBLE_EQ(report.last[1].p10, -1);
  EXPECT_DOUBLE_EQ(report.unmatched_share, 0.25);
  EXPECT_EQ(report.groups_without_spread, 1);
  EXPECT_EQ(WarningOf(report, 2), "");
}

TEST(RewardReport, TermThatDominatesOrGroupsWithoutSpread_AreToldInWords) {
  RewardReport report;
  report.share = {0.2, 0.7, 0.1};
  EXPECT_THAT(WarningOf(report, 8), HasSubstr("the ddi term makes up 70 % of phi's steps"));
  EXPECT_THAT(WarningOf(report, 8), HasSubstr("reward.alpha"));
  report.share = {0.1, 0.1, 0.8};
  EXPECT_THAT(WarningOf(report, 8), HasSubstr("reward.beta"));
  report.share = {0.9, 0.1, 0};
  report.groups_without_spread = 6;
  EXPECT_THAT(WarningOf(report, 8), HasSubstr("75 % of the groups"));
}

}  // namespace
}  // namespace flame
