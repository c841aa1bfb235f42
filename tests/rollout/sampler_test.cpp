#include "rollout/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "base/random.h"

namespace flame {
namespace {

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.2f), std::log(0.7f)};

Choice Choose(const std::vector<float>& logits, double temperature, double uniform) {
  return ChooseToken(logits.data(), static_cast<int64_t>(logits.size()), temperature, uniform);
}

TEST(ChooseToken, Uniform_PicksByCumulativeProbability) {
  EXPECT_EQ(Choose(kLogits, 1, 0).token, 0);
  EXPECT_EQ(Choose(kLogits, 1, 0.0999).token, 0);
  EXPECT_EQ(Choose(kLogits, 1, 0.1001).token, 1);
  EXPECT_EQ(Choose(kLogits, 1, 0.2999).token, 1);
  EXPECT_EQ(Choose(kLogits, 1, 0.3001).token, 2);
  EXPECT_EQ(Choose(kLogits, 1, 1 - 0x1p-53).token, 2);
  EXPECT_NEAR(Choose(kLogits, 1, 0.2).logprob, std::log(0.2), 1e-6);
}

TEST(ChooseToken, Temperature_SharpensTheDistribution) {
  // At 0.5 the weights are squared: 0.01, 0.04, 0.49 of 0.54.
  EXPECT_EQ(Choose(kLogits, 0.5, 0.018).token, 0);
  EXPECT_EQ(Choose(kLogits, 0.5, 0.019).token, 1);
  EXPECT_EQ(Choose(kLogits, 0.5, 0.092).token, 1);
  EXPECT_EQ(Choose(kLogits, 0.5, 0.093).token, 2);
  EXPECT_NEAR(Choose(kLogits, 0.5, 0.5).logprob, std::log(0.49 / 0.54), 1e-6);
}

TEST(ChooseToken, TemperatureZero_TakesTheLowestOfTheLargest) {
  const Choice choice = Choose({1, 3, 2, 3}, 0, 0.99);
  EXPECT_EQ(choice.token, 1);
  const double sum = std::exp(1.) + 2 * std::exp(3.) + std::exp(2.);
  EXPECT_NEAR(choice.logprob, 3 - std::log(sum), 1e-6);
}

TEST(ChooseToken, ImpossibleTokens_AreNeverChosen) {
  const float no = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(Choose({no, 2, no}, 1, 0).token, 1);
  EXPECT_EQ(Choose({no, 2, no}, 1, 1 - 0x1p-53).token, 1);
}

TEST(ChooseToken, LogitsThatAreNotFinite_GiveNoToken) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Choose({0, nan, 1}, 1, 0.5).token, -1);
  EXPECT_EQ(Choose({nan, 0, 1}, 0, 0.5).token, -1);
  EXPECT_EQ(Choose({0, inf, 1}, 1, 0.5).token, -1);
  EXPECT_EQ(Choose({-inf, -inf}, 1, 0.5).token, -1);
}

TEST(ChooseToken, ManyDraws_FollowTheDistribution) {
  int counts[3] = {};
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) ++counts[Choose(kLogits, 1, SamplingUniform(3, i, 0, 0)).token];
  // Five standard deviations of a binomial share.
  for (int k = 0; k < 3; ++k) {
    const double p = std::exp(kLogits[k]);
    EXPECT_NEAR(double(counts[k]) / draws, p, 5 * std::sqrt(p * (1 - p) / draws));
  }
}

TEST(SamplingUniform, Arguments_AllMatter) {
  const int64_t high = int64_t{1} << 32;
  const std::set<double> numbers = {
      SamplingUniform(1, 2, 3, 4),           SamplingUniform(2, 2, 3, 4),
      SamplingUniform(1, 3, 3, 4),           SamplingUniform(1, 2, 4, 4),
      SamplingUniform(1, 2, 3, 5),           SamplingUniform(1, 2 + high, 3, 4),
      SamplingUniform(1, 2 + 2 * high, 3, 4)};
  EXPECT_EQ(numbers.size(), 7u);
}

TEST(SamplingUniform, SmallTasks_AreTheStreamOfTheContract) {
  EXPECT_EQ(SamplingUniform(9, 17, 3, 21), RandomStream(9, kSampling, 17, 3).UniformAt(21));
}

}  // namespace
}  // namespace flame
