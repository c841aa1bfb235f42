#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "reward/potential.h"
#include "trainer/credit/credit.h"
#include "trainer/credit/step_returns.h"

namespace flame {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;
using testing::FloatNear;

Verdict MakeVerdict(std::vector<float> phi, std::vector<int64_t> state,
                    std::vector<int16_t> step_of_token) {
  Verdict verdict;
  verdict.phi = std::move(phi);
  verdict.state = std::move(state);
  verdict.step_of_token = std::move(step_of_token);
  verdict.reward = verdict.phi.back() - verdict.phi.front();
  return verdict;
}

// Three completions of one task. States are numbered by hand: 0 is the input list.
const Verdict kUpAndDown = MakeVerdict({0.5, 1, 0.75}, {0, 1, 2}, {1, 1, 2, 2, -1});
const Verdict kStops = MakeVerdict({0.5}, {0}, {-1});
const Verdict kDetour = MakeVerdict({0.5, 0.25, 1}, {0, 3, 1}, {1, 2, -1});
const std::vector<const Verdict*> kGroup = {&kUpAndDown, &kStops, &kDetour};

CreditOptions Scheme(const std::string& scheme, double lambda = 1) {
  CreditOptions options;
  options.scheme = scheme;
  options.lambda = lambda;
  options.epsilon = 1e-9;
  return options;
}

TEST(StepReturns, SumsOfWhatFollows_ByHand) {
  const StepValues plain = StepReturns(kGroup, 1);
  EXPECT_THAT(plain,
              ElementsAre(ElementsAre(0.25, -0.25, 0), ElementsAre(0), ElementsAre(0.5, 0.75, 0)));
  const StepValues halved = StepReturns(kGroup, 0.5);
  EXPECT_THAT(halved[2], ElementsAre(-0.25 + 0.5 * 0.75, 0.75, 0));
}

// Step 1: returns {0.25, 0, 0.5}, mean 0.25, std 0.25. Step 2: {-0.25, 0.75}, mean 0.25, std
// 0.7071. Step 3, to end: {0, 0}.
TEST(CausalCredit, StepsOfOneNumber_AreCompared) {
  const Advantages result = ComputeAdvantages(kGroup, Scheme("causal"));
  const float half = std::sqrt(0.5f);
  EXPECT_THAT(result.tokens[0], ElementsAre(FloatNear(0, 1e-6), FloatNear(0, 1e-6),
                                            FloatNear(-half, 1e-6), FloatNear(-half, 1e-6), 0));
  EXPECT_THAT(result.tokens[1], ElementsAre(FloatNear(-1, 1e-6)));
  EXPECT_THAT(result.tokens[2], ElementsAre(FloatNear(1, 1e-6), FloatNear(half, 1e-6), 0));
}

// The return of step 1 is the reward, so its credit is that of the outcome.
TEST(CausalCredit, FirstStep_HasTheOutcomesAdvantage) {
  RandomStream random(5);
  std::vector<Verdict> verdicts;
  for (int i = 0; i < 6; ++i) {
    std::vector<float> phi = {0.25f};
    std::vector<int16_t> steps;
    for (int n = 1; n <= 1 + i % 3; ++n) {
      phi.push_back(static_cast<float>(random.Uniform()));
      steps.push_back(static_cast<int16_t>(n));
    }
    verdicts.push_back(MakeVerdict(phi, std::vector<int64_t>(phi.size(), 0), steps));
  }
  std::vector<const Verdict*> group;
  for (const Verdict& verdict : verdicts) group.push_back(&verdict);
  const Advantages causal = ComputeAdvantages(group, Scheme("causal"));
  const Advantages outcome = ComputeAdvantages(group, Scheme("potential", 0));
  for (size_t i = 0; i < group.size(); ++i) {
    EXPECT_NEAR(causal.tokens[i][0], outcome.tokens[i][0], 1e-5);
  }
}

// From list 0: returns {0.25, 0, 0.5}. From list 1: {-0.25, 0}, the second to end there. Lists 2
// and 3 are met once.
TEST(AnchorCredit, StepsFromOneList_AreCompared) {
  const Advantages result = ComputeAdvantages(kGroup, Scheme("anchor"));
  const float half = std::sqrt(0.5f);
  // r~ = {0, -1, 1}: the rewards are {0.25, 0, 0.5}.
  EXPECT_THAT(result.tokens[0],
              ElementsAre(FloatNear(0, 1e-6), FloatNear(0, 1e-6), FloatNear(-half, 1e-6),
                          FloatNear(-half, 1e-6), FloatNear(0, 1e-6)));
  EXPECT_THAT(result.tokens[1], ElementsAre(FloatNear(-2, 1e-6)));
  EXPECT_THAT(result.tokens[2],
              ElementsAre(FloatNear(2, 1e-6), FloatNear(1, 1e-6), FloatNear(1 + half, 1e-6)));
}

// Gamma 0.5: the returns are {0.375, -0.25, 0}, {0} and {0.125, 0.75, 0}, compared by their
// differences from the mean.
TEST(Credit, DiscountedAndNotScaled_ByHand) {
  const auto near = [](float value) { return FloatNear(value, 1e-6); };
  CreditOptions options = Scheme("causal");
  options.gamma = 0.5;
  options.scale_rewards = "none";
  const Advantages causal = ComputeAdvantages(kGroup, options);
  EXPECT_THAT(causal.tokens[0],
              ElementsAre(near(0.625f / 3), near(0.625f / 3), near(-0.5f), near(-0.5f), near(0)));
  EXPECT_THAT(causal.tokens[1], ElementsAre(near(-0.5f / 3)));
  EXPECT_THAT(causal.tokens[2], ElementsAre(near(-0.125f / 3), near(0.5f), near(0)));

  options.scheme = "anchor";  // outcomes {0, -0.25, 0.25}
  const Advantages anchor = ComputeAdvantages(kGroup, options);
  EXPECT_THAT(anchor.tokens[0], ElementsAre(near(0.625f / 3), near(0.625f / 3), near(-0.125f),
                                            near(-0.125f), near(0)));
  EXPECT_THAT(anchor.tokens[1], ElementsAre(near(-0.25f - 0.5f / 3)));
  EXPECT_THAT(anchor.tokens[2], ElementsAre(near(0.25f - 0.125f / 3), near(0.25f), near(0.375f)));
}

TEST(AnchorCredit, LambdaZero_IsStandardGrpo) {
  const Advantages anchor = ComputeAdvantages(kGroup, Scheme("anchor", 0));
  EXPECT_EQ(anchor.tokens, ComputeAdvantages(kGroup, Scheme("potential", 0)).tokens);
}

TEST(AnchorCredit, VerdictWithoutStates_IsRefused) {
  const Verdict bare = MakeVerdict({0.5, 1}, {}, {1});
  EXPECT_THROW(ComputeAdvantages({&bare}, Scheme("anchor")), DataError);
}

TEST(Credit, EqualCompletions_HaveNone) {
  for (const char* scheme : {"causal", "anchor"}) {
    const Advantages result = ComputeAdvantages({&kDetour, &kDetour}, Scheme(scheme));
    EXPECT_THAT(result.tokens[0], Each(FloatNear(0, 1e-6))) << scheme;
  }
}

// The list that a completion edits, without its tokens: phi of any set of its lines.
class Lines {
 public:
  Lines(int32_t num_drugs, std::vector<int32_t> truth, std::vector<int32_t> input,
        std::vector<int32_t> lines)
      : truth_(num_drugs, truth), input_(std::move(input)), lines_(std::move(lines)) {
    DdiGraph ddi(num_drugs);
    ddi.Add(0, 1);
    ddi.Add(2, 4);
    ddi.Add(1, 5);
    partners_ = HarmfulPartners(ddi);
  }
  size_t size() const { return lines_.size(); }

  // Returns phi after each line in `order`, the input's first.
  std::vector<float> Phi(const std::vector<size_t>& order) const {
    Potential potential(partners_, truth_, input_);
    const auto value = [&] {
      const PhiTerms terms = potential.Terms();
      return static_cast<float>(terms.jaccard - 0.7 * terms.ddi - 0.5 * terms.refusal);
    };
    std::vector<float> phi = {value()};
    for (const size_t line : order) {
      potential.Apply(Edit::kAdd, lines_[line]);
      phi.push_back(value());
    }
    return phi;
  }

  // Returns each line's share of the reward by Shapley's formula: a sum over the sets S of other
  // lines of |S|! (N - |S| - 1)! / N! (phi(S with the line) - phi(S)).
  std::vector<double> Shapley() const {
    std::vector<double> shares(size(), 0);
    for (uint32_t set = 0; set < 1u << size(); ++set) {
      std::vector<size_t> members;
      for (size_t i = 0; i < size(); ++i) {
        if (set >> i & 1) members.push_back(i);
      }
      for (size_t i = 0; i < size(); ++i) {
        if (set >> i & 1) continue;
        std::vector<size_t> with = members;
        with.push_back(i);
        const double weight = std::tgamma(static_cast<double>(members.size() + 1)) *
                              std::tgamma(static_cast<double>(size() - members.size())) /
                              std::tgamma(static_cast<double>(size() + 1));
        shares[i] += weight * (double{Phi(with).back()} - double{Phi(members).back()});
      }
    }
    return shares;
  }

 private:
  DrugSet truth_;
  std::vector<int32_t> input_, lines_;
  std::vector<DrugSet> partners_;
};

// In any one order a line's step difference is its marginal contribution, so the mean of its credit
// over all orders is its Shapley share (arXiv 2603.29871), and the shares sum to the reward.
TEST(PotentialCredit, MeanOverOrders_IsTheShapleyShare) {
  const Lines lines(6, {0, 2, 3, 5}, {4}, {0, 1, 2, 5, -1});
  const std::vector<double> shares = lines.Shapley();
  std::vector<size_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> mean(lines.size(), 0);
  int64_t orders = 0;
  do {
    Verdict verdict;
    verdict.phi = lines.Phi(order);
    for (size_t n = 1; n <= order.size(); ++n) {
      verdict.step_of_token.push_back(static_cast<int16_t>(n));
    }
    verdict.reward = verdict.phi.back() - verdict.phi.front();
    // A group of one has no outcome advantage.
    const Advantages credit = ComputeAdvantages({&verdict}, Scheme("potential"));
    for (size_t n = 0; n < order.size(); ++n) mean[order[n]] += credit.tokens[0][n];
    ++orders;
  } while (std::next_permutation(order.begin(), order.end()));
  double sum = 0;
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_THAT(mean[i] / static_cast<double>(orders), DoubleNear(shares[i], 1e-5)) << i;
    sum += shares[i];
  }
  std::sort(order.begin(), order.end());
  const std::vector<float> phi = lines.Phi(order);
  EXPECT_NEAR(sum, phi.back() - phi.front(), 1e-5);
}

}  // namespace
}  // namespace flame
