#include "trainer/credit/credit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace flame {
namespace {

Verdict MakeVerdict(std::vector<float> phi, std::vector<int16_t> step_of_token) {
  Verdict verdict;
  verdict.phi = std::move(phi);
  verdict.step_of_token = std::move(step_of_token);
  verdict.reward = verdict.phi.back() - verdict.phi.front();
  return verdict;
}

// Two completions of one task: rewards 0.25 and 0; mean 0.125, spread 0.25 / sqrt(2).
const Verdict kTwoSteps = MakeVerdict({0.5, 1, 0.75}, {1, 1, 2, 2, -1});
const Verdict kNoSteps = MakeVerdict({0.5}, {-1});
constexpr double kSpread = 0.17677669529663687;

TEST(Advantages, TwoMembers_MatchHandComputedCase) {
  const Advantages result = ComputeAdvantages({&kTwoSteps, &kNoSteps}, CreditOptions());
  const double outcome = 0.125 / (kSpread + 1e-4);
  EXPECT_NEAR(result.reward_mean, 0.125, 1e-7);
  EXPECT_NEAR(result.reward_std, kSpread, 1e-7);
  const double expected[] = {outcome + 0.25, outcome + 0.25, outcome - 0.125, outcome - 0.125,
                             outcome};
  ASSERT_EQ(result.tokens[0].size(), 5u);
  for (int t = 0; t < 5; ++t) EXPECT_NEAR(result.tokens[0][t], expected[t], 1e-6) << t;
  ASSERT_EQ(result.tokens[1].size(), 1u);
  EXPECT_NEAR(result.tokens[1][0], -outcome, 1e-6);
}

TEST(Advantages, Gamma_DiscountsNextState) {
  CreditOptions options;
  options.gamma = 0.9;
  const Advantages result = ComputeAdvantages({&kTwoSteps}, options);  // a group of one: r~ = 0
  EXPECT_NEAR(result.tokens[0][0], 0.5 * (0.9 * 1 - 0.5), 1e-6);
  EXPECT_NEAR(result.tokens[0][2], 0.5 * (0.9 * 0.75 - 1), 1e-6);
  EXPECT_EQ(result.tokens[0][4], 0);
}

TEST(Advantages, StepDifferences_TelescopeToReward) {
  CreditOptions options;
  options.lambda = 1;
  const Verdict verdict = MakeVerdict({0.2f, 0.4f, 0.1f, 0.1f, 0.9f}, {1, 2, 3, 4});
  const Advantages result = ComputeAdvantages({&verdict}, options);
  double sum = 0;
  for (const float a : result.tokens[0]) sum += a;
  EXPECT_NEAR(sum, verdict.reward, 1e-6);
}

TEST(Advantages, LambdaZero_IsStandardGrpo) {
  CreditOptions options;
  options.lambda = 0;
  const Advantages result = ComputeAdvantages({&kTwoSteps, &kNoSteps}, options);
  for (const float a : result.tokens[0]) EXPECT_NEAR(a, 0.125 / (kSpread + 1e-4), 1e-6);
}

TEST(Advantages, ScaleStepsGroup_DividesStepsBySpread) {
  CreditOptions options;
  options.lambda = 1;
  options.scale_steps = "group";
  const Advantages result = ComputeAdvantages({&kTwoSteps, &kNoSteps}, options);
  // Takes one token of each step: their step terms sum to the reward over the spread.
  const double outcome = result.tokens[0][4];
  const double steps = (result.tokens[0][0] - outcome) + (result.tokens[0][2] - outcome);
  EXPECT_NEAR(steps, 0.25 / (kSpread + 1e-4), 1e-5);
}

TEST(Advantages, ScaleStepsWithoutSpread_KeepsStepsAsTheyAre) {
  CreditOptions options;
  options.scale_steps = "group";
  const Advantages result = ComputeAdvantages({&kTwoSteps, &kTwoSteps}, options);
  EXPECT_NEAR(result.tokens[0][0], 0.25, 1e-6);
}

TEST(Advantages, ScaleRewardsNone_LeavesTheDistanceToTheMean) {
  CreditOptions options;
  options.scale_rewards = "none";
  options.lambda = 0;
  const Advantages result = ComputeAdvantages({&kTwoSteps, &kNoSteps}, options);
  EXPECT_NEAR(result.tokens[0][0], 0.125, 1e-7);
  EXPECT_NEAR(result.tokens[1][0], -0.125, 1e-7);
  EXPECT_NEAR(result.reward_std, kSpread, 1e-7);
}

// One removal is right for two visits of three, and then gains little; for the third it loses much.
// Its expected reward is negative. Scaled by the spread of its group each truth counts alike, so
// the removal is encouraged all the same.
TEST(Advantages, ScaledByTheGroup_FollowTheMajority) {
  const Verdict keeps = MakeVerdict({0.5}, {-1});
  const Verdict gains = MakeVerdict({0.5, 0.54f}, {1, -1}),
                loses = MakeVerdict({0.5, 0.4f}, {1, -1});
  for (const char* scale : {"group", "none"}) {
    CreditOptions options;
    options.scale_rewards = scale;
    options.lambda = 0;
    const double gain = ComputeAdvantages({&gains, &keeps}, options).tokens[0][0];
    const double loss = ComputeAdvantages({&loses, &keeps}, options).tokens[0][0];
    EXPECT_EQ(2 * gain + loss > 0, scale == std::string("group"));
  }
}

TEST(Advantages, StepBeyondPhi_IsRefused) {
  const Verdict broken = MakeVerdict({0.5, 1}, {2});
  EXPECT_THROW(ComputeAdvantages({&broken}, CreditOptions()), DataError);
}

}  // namespace
}  // namespace flame
