#include "trainer/grpo/allowed_tokens.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::ElementsAre;

constexpr int32_t kEnd = 2;

// Two completions of one prompt and one of another, from the lines {4, 3}, {4, 5, 3} and {6, 3}.
const std::vector<Family> kFamilies = {{{1, 7}, {{{4, 5, 3, kEnd}, 0}, {{6, 3}, 0}}},
                                       {{8}, {{{4, 3, kEnd}, 0}}}};
LineTrie Lines() { return LineTrie({{4, 3}, {4, 5, 3}, {6, 3}}, kEnd); }

TEST(FindAllowed, PackedFamilies_HaveARowATarget) {
  const AllowedTokens found = FindAllowed(Lines(), kFamilies);
  EXPECT_THAT(found.token_ids, ElementsAre(2, 3, 4, 5, 6));
  ASSERT_EQ(found.allowed.size(0), 9);
  const auto row = [&](int64_t n) {
    std::string text;
    for (int64_t k = 0; k < 5; ++k) text += found.allowed[n][k].item<bool>() ? '1' : '0';
    return text + ' ' + std::to_string(found.targets[n].item<int64_t>());
  };
  std::vector<std::string> rows;
  for (int64_t n = 0; n < 9; ++n) rows.push_back(row(n));
  EXPECT_THAT(rows, ElementsAre("10101 2", "01010 3", "01000 1", "10101 0", "10101 4", "01000 1",
                                "10101 2", "01010 1", "10101 0"));
}

TEST(FindAllowed, CompletionOfNoLine_IsRefused) {
  EXPECT_THROW(FindAllowed(Lines(), {{{1}, {{{4, 6}, 0}}}}), DataError);
}

TEST(LogProbsAmong, Rows_AreNormalisedOverTheirAllowedTokens) {
  AllowedTokens tokens;
  tokens.allowed = at::tensor({1, 0, 1, 0, 1, 0}, at::kLong).view({2, 3}).to(at::kBool);
  tokens.targets = at::tensor({2, 1}, at::kLong);
  at::Tensor logits = at::tensor({1.0, 9.0, 2.0, 5.0, -3.0, 7.0}, at::kDouble).view({2, 3});
  logits.requires_grad_(true);
  at::Tensor entropy;
  const at::Tensor logprobs = LogProbsAmong(tokens, logits, 0.5, &entropy);
  const double p = 1 / (1 + std::exp(-2.0));  // P(logit 2 against logit 1) at temperature 0.5
  EXPECT_NEAR(logprobs[0].item<double>(), std::log(p), 1e-12);
  EXPECT_NEAR(logprobs[1].item<double>(), 0, 1e-12);
  EXPECT_NEAR(entropy[0].item<double>(), -p * std::log(p) - (1 - p) * std::log(1 - p), 1e-12);
  EXPECT_NEAR(entropy[1].item<double>(), 0, 1e-12);
  logprobs.sum().backward();
  const double* gradient = logits.grad().const_data_ptr<double>();
  const std::vector<double> expected = {-2 * (1 - p), 0, 2 * (1 - p), 0, 0, 0};
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(gradient[i], expected[i], 1e-12) << i;
}

}  // namespace
}  // namespace flame
