#include "trainer/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"

namespace flame {
namespace {

at::Tensor Doubles(const std::vector<double>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<double>());
  return tensor;
}

std::vector<double> Values(const at::Tensor& tensor) {
  const double* data = tensor.const_data_ptr<double>();
  return {data, data + tensor.numel()};
}

const std::vector<int64_t> kLengths = {3, 2};
const StepTotals kTotals = {.completions = 2, .tokens = 5, .max_tokens = 4};

std::vector<double> Weights(const std::string& normalizer) {
  std::vector<double> weights;
  for (const int64_t length : kLengths) {
    weights.insert(weights.end(), length, TokenWeight(normalizer, length, kTotals));
  }
  return weights;
}

SurrogateInput Case(const std::string& normalizer) {
  SurrogateInput input;
  input.logprobs = Doubles({-0.5, -1.2, -0.1, -2.0, -0.7}).requires_grad_(true);
  input.old_logprobs = Doubles({-0.9, -1.1, -0.3, -1.5, -0.75});
  input.reference = Doubles({-0.6, -1.5, -0.2, -1.8, -0.7});
  input.advantages = Doubles({0.8, -0.3, 0.5, -0.9, 1.1});
  input.weights = Doubles(Weights(normalizer));
  return input;
}

struct Expected {
  double loss;
  std::vector<double> gradient;
};

// TRL's GRPOTrainer formula on a padded [2, 3] batch in fp64 (torch 2.11), mask [[1,1,1],[1,1,0]]:
//   r = exp(lp - old); c = clamp(r, 0.8, 1.2); d = ref - lp; kl = exp(d) - d - 1
//   l = -min(r * adv, c * adv) + 0.04 * kl
//   sequence ("grpo"): ((l * mask).sum(-1) / mask.sum(-1)).mean()
//   token ("bnpo", "dapo"): (l * mask).sum() / mask.sum();  batch: (l * mask).sum() / 2
//   constant ("dr_grpo"): (l * mask).sum() / (2 * max_completion_length), max length 4
const std::map<std::string, Expected> kExpected = {
    {"sequence",
     {-0.3233070326416494,
      {0.0006344172130936026, 0.04696974943058653, 0.0006344172130936035, -0.0022140275816016994,
       -0.28909955150340666}}},
    {"token",
     {-0.3444142296012572,
      {0.0007613006557123233, 0.05636369931670384, 0.0007613006557123242, -0.0017712220652813596,
       -0.23127964120272534}}},
    {"batch",
     {-0.8610355740031431,
      {0.001903251639280807, 0.1409092482917596, 0.0019032516392808105, -0.004428055163203399,
       -0.5781991030068133}}},
    {"constant",
     {-0.21525889350078578,
      {0.00047581290982020175, 0.0352273120729399, 0.0004758129098202026, -0.0011070137908008497,
       -0.14454977575170333}}}};

// Tokens 0 and 1 are a step, 2 another, 3 and 4 a third: ratios exp(0.15), exp(0.2), exp(-0.225).
// With weight w a step's loss is the sum of -w * min(ratio A, clamp(ratio) A) over its tokens, and
// each of its log-probabilities gets 1 / size of the ratio's gradient.
TEST(ClippedSurrogate, Segments_ShareTheGeometricMean) {
  SurrogateInput input = Case("token");
  input.reference = at::Tensor();
  input.segments = at::tensor({0, 0, 1, 2, 2}, at::kLong);
  const SurrogateLoss result = ClippedSurrogate(input, 0.2, 0);
  result.loss.backward();
  const double first = std::exp(0.15), third = std::exp(-0.225);
  // Token 2: the ratio 1.2214 is above 1.2 and A > 0. Token 3: 0.7985 is below 0.8 and A < 0.
  const double loss = -0.2 * (first * 0.8 - first * 0.3 + 1.2 * 0.5 - 0.8 * 0.9 + third * 1.1);
  EXPECT_NEAR(result.loss.item<double>(), loss, 1e-12);
  EXPECT_EQ(result.clipped, 2);
  const std::vector<double> gradient = Values(input.logprobs.grad());
  const double of_first = -0.2 * first * (0.8 - 0.3) / 2, of_third = -0.2 * third * 1.1 / 2;
  const double expected[] = {of_first, of_first, 0, of_third, of_third};
  for (int t = 0; t < 5; ++t) EXPECT_NEAR(gradient[t], expected[t], 1e-12) << t;
}

TEST(ClippedSurrogate, SegmentsOfOneToken_ChangeNothing) {
  SurrogateInput plain = Case("token"), cut = Case("token");
  cut.segments = at::tensor({0, 1, 2, 3, 4}, at::kLong);
  EXPECT_NEAR(ClippedSurrogate(plain, 0.2, 0.04).loss.item<double>(),
              ClippedSurrogate(cut, 0.2, 0.04).loss.item<double>(), 1e-15);
}

TEST(ClippedSurrogate, EveryNormalizer_MatchesTrlFormula) {
  for (const auto& [normalizer, expected] : kExpected) {
    const SurrogateInput input = Case(normalizer);
    const SurrogateLoss result = ClippedSurrogate(input, 0.2, 0.04);
    result.loss.backward();
    EXPECT_NEAR(result.loss.item<double>(), expected.loss, 1e-14) << normalizer;
    const std::vector<double> gradient = Values(input.logprobs.grad());
    for (int i = 0; i < 5; ++i) {
      EXPECT_NEAR(gradient[i], expected.gradient[i], 1e-14) << normalizer << " " << i;
    }
    EXPECT_NEAR(result.kl_sum, 0.07189581491380714, 1e-14);
    EXPECT_EQ(result.clipped, 3);
  }
}

TEST(ClippedSurrogate, WithoutReference_HasNoKl) {
  SurrogateInput input = Case("token");
  input.reference = at::Tensor();
  const SurrogateLoss result = ClippedSurrogate(input, 0.2, 0.04);
  EXPECT_EQ(result.kl_sum, 0);
  EXPECT_NEAR(result.loss.item<double>(), -0.3444142296012572 - 0.04 * 0.07189581491380714 / 5,
              1e-14);
}

TEST(ClippedSurrogate, OnPolicy_GradientIsWeightedAdvantage) {
  SurrogateInput input = Case("sequence");
  input.old_logprobs = input.logprobs.detach();
  input.reference = at::Tensor();
  ClippedSurrogate(input, 0.2, 0).loss.backward();
  const std::vector<double> gradient = Values(input.logprobs.grad());
  const std::vector<double> expected = Values(-(input.weights * input.advantages));
  for (int i = 0; i < 5; ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-15) << i;
}

TEST(ClippedSurrogate, Gradient_MatchesFiniteDifferences) {
  const SurrogateInput input = Case("sequence");
  ClippedSurrogate(input, 0.2, 0.04).loss.backward();
  const std::vector<double> gradient = Values(input.logprobs.grad());
  const std::vector<double> at = Values(input.logprobs.detach());
  for (int i = 0; i < 5; ++i) {
    constexpr double kStep = 1e-6;
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      std::vector<double> moved = at;
      moved[i] += side == 0 ? -kStep : kStep;
      SurrogateInput near = Case("sequence");
      near.logprobs = Doubles(moved);
      loss[side] = ClippedSurrogate(near, 0.2, 0.04).loss.item<double>();
    }
    EXPECT_NEAR(gradient[i], (loss[1] - loss[0]) / (2 * kStep), 1e-8) << i;
  }
}

// At a token with ratio 1 the estimate equals k3. Its slope is k3's slope plus the ratio's part,
// k3.
TEST(ClippedSurrogate, KlWeightedByRatio_HasTheRatiosSlopeToo) {
  SurrogateInput input;
  input.logprobs = Doubles({-1.0}).requires_grad_(true);
  input.old_logprobs = Doubles({-1.0});
  input.reference = Doubles({-0.5});
  input.advantages = Doubles({0});
  input.weights = Doubles({1});
  const double k3 = std::exp(0.5) - 0.5 - 1;
  const SurrogateLoss result = ClippedSurrogate(input, 0.2, 2, KlEstimator::kK3Ratio);
  result.loss.backward();
  EXPECT_NEAR(result.loss.item<double>(), 2 * k3, 1e-15);
  EXPECT_NEAR(result.kl_sum, k3, 1e-15);
  EXPECT_NEAR(Values(input.logprobs.grad())[0], 2 * (1 - std::exp(0.5) + k3), 1e-15);
  EXPECT_THROW(ParseKlEstimator("k2"), UsageError);
}

TEST(ClippedSurrogate, CutIntoParts_AddsUpToWhole) {
  const SurrogateInput whole = Case("sequence");
  const double loss = ClippedSurrogate(whole, 0.2, 0.04).loss.item<double>();
  double sum = 0;
  for (int64_t i = 0; i < 5; ++i) {
    SurrogateInput part = whole;
    for (at::Tensor* tensor :
         {&part.logprobs, &part.old_logprobs, &part.reference, &part.advantages, &part.weights}) {
      *tensor = tensor->narrow(0, i, 1);
    }
    sum += ClippedSurrogate(part, 0.2, 0.04).loss.item<double>();
  }
  EXPECT_NEAR(sum, loss, 1e-15);
}

TEST(TokenWeight, UnknownName_IsRefused) {
  EXPECT_THROW(TokenWeight("mean", 3, kTotals), UsageError);
}

TEST(NegativeLogLikelihood, TotalWeight_IsDenominator) {
  const at::Tensor loss = NegativeLogLikelihood(Doubles({-1, -2, -4}), Doubles({1, 0.5, 3}), 28);
  EXPECT_DOUBLE_EQ(loss.item<double>(), 0.5);
}

// The worked example of AppendSegments.
TEST(AppendSegments, StepsOrTheWholeCompletion) {
  const std::vector<int16_t> steps = {1, 1, 2, -1};
  std::vector<int64_t> whole = {0, 0}, by_step = whole, first;
  AppendSegments(steps, /*by_step=*/false, &whole);
  EXPECT_EQ(whole, (std::vector<int64_t>{0, 0, 1, 1, 1, 1}));
  AppendSegments(steps, /*by_step=*/true, &by_step);
  EXPECT_EQ(by_step, (std::vector<int64_t>{0, 0, 1, 1, 2, 3}));
  AppendSegments({-1}, /*by_step=*/true, &first);
  EXPECT_EQ(first, std::vector<int64_t>{0});
}

}  // namespace
}  // namespace flame
