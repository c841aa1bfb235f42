// Tests the head in bfloat16 against double precision on the same numbers, and what it allocates.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "tests/model/oracle.h"

namespace flame {
namespace {

at::Tensor Waves(int64_t rows, int64_t columns, double pace) {
  return (at::arange(rows * columns, at::kDouble) * pace).sin().view({rows, columns});
}

// Returns a policy whose head is `weight`; its blocks do not matter here.
Policy WithHead(const at::Tensor& weight) {
  Policy policy = TestPolicy(weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  policy.parameters().at("model.embed_tokens.weight") = weight;
  return policy;
}

struct HeadResult {
  at::Tensor logprobs, entropy, grad_hidden, grad_weight;
};

HeadResult RunHead(at::Tensor hidden, at::Tensor weight, const at::Tensor& sources,
                   const at::Tensor& targets) {
  hidden = hidden.detach().set_requires_grad(true);
  weight = weight.detach().set_requires_grad(true);
  HeadResult result;
  result.logprobs = WithHead(weight).LogProbs(hidden, sources, targets, 0.7, &result.entropy);
  (result.logprobs * at::arange(sources.size(0), at::kFloat).add_(1).cos()).sum().backward();
  result.grad_hidden = hidden.grad(), result.grad_weight = weight.grad();
  return result;
}

// Computes the definition in double.
HeadResult Dense(at::Tensor hidden, at::Tensor weight, const at::Tensor& sources,
                 const at::Tensor& targets) {
  hidden = hidden.detach().to(at::kDouble).set_requires_grad(true);
  weight = weight.detach().to(at::kDouble).set_requires_grad(true);
  const at::Tensor logits = at::matmul(hidden.index_select(0, sources), weight.t()) / 0.7;
  const at::Tensor all = at::log_softmax(logits, 1);
  HeadResult result;
  result.logprobs = all.gather(1, targets.unsqueeze(1)).squeeze(1);
  result.entropy = -(all.exp() * all).sum(1);
  (result.logprobs * at::arange(sources.size(0), at::kDouble).add_(1).cos()).sum().backward();
  result.grad_hidden = hidden.grad(), result.grad_weight = weight.grad();
  return result;
}

TEST(Head, InBfloat16_SumsInFloat) {
  const at::Tensor hidden = Waves(50, 24, 0.7).to(at::kBFloat16);
  const at::Tensor weight = Waves(300, 24, 1.3).to(at::kBFloat16);
  const at::Tensor sources = at::arange(1100) % 50, targets = at::arange(1100) * 7 % 300;
  const HeadResult found = RunHead(hidden, weight, sources, targets);
  const HeadResult exact = Dense(hidden, weight, sources, targets);
  ASSERT_EQ(found.logprobs.scalar_type(), at::kFloat);
  ASSERT_EQ(found.entropy.scalar_type(), at::kFloat);
  ASSERT_EQ(found.grad_hidden.scalar_type(), at::kBFloat16);
  // A logit of up to 10 is rounded to 8 bits; the gradients are sums of many such logits.
  EXPECT_LT((found.logprobs - exact.logprobs).abs().max().item<double>(), 0.05);
  EXPECT_LT((found.logprobs - exact.logprobs).mean().abs().item<double>(), 2e-3);
  EXPECT_LT((found.entropy - exact.entropy).abs().max().item<double>(), 0.03);
  EXPECT_LT(Difference(found.grad_hidden.to(at::kDouble), exact.grad_hidden), 0.02);
  EXPECT_LT(Difference(found.grad_weight.to(at::kDouble), exact.grad_weight), 0.02);
}

TEST(Head, OverManyChunksAndRepeatedSources_MatchesTheDefinition) {
  const at::Tensor hidden = Waves(50, 24, 0.7), weight = Waves(300, 24, 1.3);
  const at::Tensor sources = at::arange(2100) % 50, targets = at::arange(2100) * 7 % 300;
  const HeadResult found = RunHead(hidden, weight, sources, targets);
  const HeadResult exact = Dense(hidden, weight, sources, targets);
  EXPECT_LT(Difference(found.logprobs, exact.logprobs), 1e-12);
  EXPECT_LT(Difference(found.entropy, exact.entropy), 1e-12);
  EXPECT_LT(Difference(found.grad_hidden, exact.grad_hidden), 1e-6);  // slopes are float32
  EXPECT_LT(Difference(found.grad_weight, exact.grad_weight), 1e-6);
}

// Measures the bytes that this thread's tensors take, as the allocator reports them.
class MemoryMeter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t alloc_size, size_t, size_t, c10::Device) override {
    now_ += alloc_size;
    peak_ = std::max(peak_, now_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  int64_t now_ = 0, peak_ = 0;
};

// Two tokens for each source give what two calls with one each give, values and gradients.
TEST(Head, SeveralTargetsOfASource_AreAsSeveralCalls) {
  const at::Tensor weight = Waves(300, 24, 1.3), weights = Waves(1100, 2, 0.9);
  const at::Tensor sources = at::arange(1100) % 50;
  const at::Tensor targets = at::arange(2200).view({1100, 2}) * 7 % 300;
  std::vector<at::Tensor> gradients;
  std::vector<double> losses;
  for (const bool together : {true, false}) {
    const at::Tensor hidden = Waves(50, 24, 0.7).set_requires_grad(true);
    const Policy policy = WithHead(weight);
    at::Tensor loss;
    if (together) {
      loss = (policy.LogProbs(hidden, sources, targets, 0.7) * weights).sum();
    } else {
      for (int64_t k = 0; k < 2; ++k) {
        const at::Tensor part =
            (policy.LogProbs(hidden, sources, targets.select(1, k), 0.7) * weights.select(1, k))
                .sum();
        loss = loss.defined() ? loss + part : part;
      }
    }
    loss.backward();
    losses.push_back(loss.item<double>());
    gradients.push_back(hidden.grad());
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-9);
  EXPECT_LT((gradients[0] - gradients[1]).abs().max().item<double>(), 1e-12);
}

TEST(Head, LogProbsEntropyAndBackward_HoldAFewChunks) {
  constexpr int64_t kTokens = 512, kVocabSize = int64_t{1} << 18;
  constexpr int64_t kChunkBytes = (int64_t{1} << 24) * 4;
  const Policy policy = WithHead(at::zeros({kVocabSize, 8}, at::kFloat));
  const at::Tensor hidden = Waves(kTokens, 8, 0.7).to(at::kFloat).set_requires_grad(true);
  const at::Tensor indices = at::arange(kTokens);
  const auto meter = std::make_shared<MemoryMeter>();
  {
    const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, meter);
    at::Tensor entropy;
    policy.LogProbs(hidden, indices, indices, 1.0, &entropy).sum().backward();
  }
  EXPECT_GE(meter->peak(), kChunkBytes);  // the meter works
  EXPECT_LT(meter->peak(), 4 * kChunkBytes);
  EXPECT_LT(meter->peak(), kTokens * kVocabSize * 4 / 2);
}

}  // namespace
}  // namespace flame
