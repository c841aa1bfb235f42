#include "rollout/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <vector>

#include "base/random.h"

namespace flame {
namespace {

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.2f), std::log(0.7f)};

Choice Choose(const std::vector<float>& logits, double temperature, double uniform) {
  return ChooseToken(logits.data(), static_cast<int64_t>(logits.size()),
                     {.temperature = temperature}, uniform);
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
  // At temperature 0.5 the weights are squared: 0.01, 0.04, 0.49 of 0.54.
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

// Implements the documented rule plainly: sort, cut, sum.
Choice ChoosePlainly(const std::vector<float>& logits, const SamplingRule& rule, double uniform) {
  std::vector<double> weight;
  for (const float logit : logits) weight.push_back(std::exp(logit / rule.temperature));
  const double whole = std::accumulate(weight.begin(), weight.end(), 0.0);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  if (rule.top_k > 0 && rule.top_k < std::ssize(order)) order.resize(rule.top_k);
  double left = 0;
  for (const int32_t token : order) left += weight[token];
  std::set<int32_t> kept;
  double sum = 0;
  for (const int32_t token : order) {
    if (!kept.empty() && sum >= rule.top_p * left) break;
    kept.insert(token);
    sum += weight[token];
  }
  double cumulative = 0;
  for (const int32_t token : kept) {
    cumulative += weight[token];
    if (cumulative > uniform * sum) {
      return {token, static_cast<float>(std::log(weight[token] / whole))};
    }
  }
  return {};
}

TEST(ChooseToken, TopKAndTopP_MatchThePlainRule) {
  RandomStream random(11);
  std::set<int32_t> drawn;
  for (const int64_t size : {1, 3, 64, 65, 700}) {
    std::vector<float> logits(size);
    for (const SamplingRule& rule : {SamplingRule{1, 1, 1},
                                     {1, 2, 1},
                                     {0.7, 50, 1},
                                     {1, 1000, 1},
                                     {1, 0, 0.9},
                                     {1, 0, 1e-9},
                                     {1.5, 0, 0.5},
                                     {1, 0, 0.9999},
                                     {1, 5, 0.6},
                                     {0.8, 40, 0.95}}) {
      for (int draw = 0; draw < 40; ++draw) {
        for (float& logit : logits) logit = static_cast<float>(2 * random.Normal());
        const double uniform = random.Uniform();
        const Choice expected = ChoosePlainly(logits, rule, uniform);
        const Choice choice = ChooseToken(logits.data(), size, rule, uniform);
        ASSERT_EQ(choice.token, expected.token) << size << " " << rule.top_k << " " << rule.top_p;
        ASSERT_NEAR(choice.logprob, expected.logprob, 2e-5);
        drawn.insert(choice.token);
      }
    }
  }
  EXPECT_GT(drawn.size(), 100u);
}

TEST(ChooseToken, TopP_KeepsTheSmallestSetThatReachesIt) {
  // Probabilities are 0.1, 0.2, 0.7. A uniform of 0 takes the lowest id that is kept.
  const auto lowest = [](double top_p) { return ChooseToken(kLogits.data(), 3, {1, 0, top_p}, 0); };
  EXPECT_EQ(lowest(0.69).token, 2);
  EXPECT_EQ(lowest(0.71).token, 1);
  EXPECT_EQ(lowest(0.89).token, 1);
  EXPECT_EQ(lowest(0.91).token, 0);
  EXPECT_NEAR(lowest(0.89).logprob, std::log(0.2), 1e-6) << "over all of the vocabulary";
}

TEST(ChooseToken, TopKAmongEquals_KeepsTheLowestIds) {
  const std::vector<float> logits(5, 1.0f);
  std::set<int32_t> drawn;
  for (double uniform : {0.0, 0.3, 0.6, 0.99}) {
    drawn.insert(ChooseToken(logits.data(), 5, {1, 2, 1}, uniform).token);
  }
  EXPECT_EQ(drawn, (std::set<int32_t>{0, 1}));
}

// Two of four equal weights reach a half exactly.
TEST(ChooseToken, TopPThatIsReachedExactly_KeepsNoMore) {
  const std::vector<float> logits(4, 1.0f);
  EXPECT_EQ(ChooseToken(logits.data(), 4, {1, 0, 0.5}, 0.99).token, 1);
  EXPECT_EQ(ChooseToken(logits.data(), 4, {1, 0, 0.51}, 0.99).token, 2);
}

TEST(ChooseAmong, AllowedTokens_AreTheWholeVocabulary) {
  const std::vector<float> logits = {3, std::log(0.1f), 9, std::log(0.3f), 5};
  EXPECT_EQ(ChooseAmong(logits.data(), {1, 3}, {}, 0.24).token, 1);
  EXPECT_EQ(ChooseAmong(logits.data(), {1, 3}, {}, 0.26).token, 3);
  EXPECT_NEAR(ChooseAmong(logits.data(), {1, 3}, {}, 0.26).logprob, std::log(0.75), 1e-6);
  EXPECT_EQ(ChooseAmong(logits.data(), {1, 3}, {.temperature = 0}, 0).token, 3);
  EXPECT_EQ(ChooseAmong(logits.data(), {4}, {}, 0.9).logprob, 0);
}

TEST(ChooseToken, ManyDraws_FollowTheDistribution) {
  int counts[3] = {};
  const int draws = 20000;
  for (int i = 0; i < draws; ++i) ++counts[Choose(kLogits, 1, SamplingUniform(3, i, 0, 0)).token];
  // Allows five standard deviations of a binomial share.
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
