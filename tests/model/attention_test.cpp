// Attention over families against a dense mask in double precision; derivatives from autograd.
#include "model/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/model/oracle.h"

namespace flame {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2;

at::Tensor Waves(at::IntArrayRef shape, double pace, at::ScalarType dtype) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count, at::kDouble) * pace).sin().mul_(1.5).view(shape).to(dtype);
}

// Families whose branches lie around every boundary: tiles of 8 and 16, and the longest segment of
// the short kernel.
FamilyBatch VariedBatch() {
  return PackFamilies({MakeFamily(5, {1, 3, 8}, 37, 1), MakeFamily(70, {9, 16, 17, 30}, 37, 2),
                       MakeFamily(1, {64, 65, 66, 2}, 37, 3), MakeFamily(33, {}, 37, 4),
                       MakeFamily(20, std::vector<int64_t>(25, 12), 37, 5)});
}

// What each token may see: [T, T], 0 or -inf.
at::Tensor DenseMask(const FamilyBatch& batch) {
  const int64_t tokens = batch.tokens.size(0);
  at::Tensor mask =
      at::zeros({tokens, tokens}, at::kDouble) - std::numeric_limits<double>::infinity();
  for (const FamilyLayout& family : batch.families) {
    std::vector<Span> spans = family.branches;
    spans.push_back(family.trunk);
    for (const Span& span : spans) {
      for (int64_t i = span.begin; i < span.begin + span.size; ++i) {
        mask[i].narrow(0, span.begin, i - span.begin + 1).fill_(0);
        if (span.begin != family.trunk.begin) {
          mask[i].narrow(0, family.trunk.begin, family.trunk.size).fill_(0);
        }
      }
    }
  }
  return mask;
}

at::Tensor DenseAttention(const AttentionInput& x, const at::Tensor& mask) {
  const int64_t group = x.query.size(1) / x.key.size(1);
  const at::Tensor q = x.query.transpose(0, 1);
  const at::Tensor k = x.key.repeat_interleave(group, 1).transpose(0, 1);
  const at::Tensor v = x.value.repeat_interleave(group, 1).transpose(0, 1);
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(2)));
  const at::Tensor scores = at::matmul(q, k.transpose(1, 2)) * scale + mask;
  return at::matmul(at::softmax(scores, 2), v).transpose(0, 1);
}

AttentionInput MakeInput(int64_t tokens, int64_t head_dim, at::ScalarType dtype) {
  return {Waves({tokens, kHeads, head_dim}, 0.7, dtype),
          Waves({tokens, kKvHeads, head_dim}, 1.3, dtype),
          Waves({tokens, kKvHeads, head_dim}, 0.37, dtype)};
}

AttentionInput InDouble(const AttentionInput& x) {
  const auto leaf = [](const at::Tensor& t) {
    return t.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true).set_requires_grad(true);
  };
  return {leaf(x.query), leaf(x.key), leaf(x.value)};
}

// |a - b| / |b| over all elements.
double RelativeError(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
}

// The families' attention in `dtype` against dense attention in double on the same numbers.
void ExpectMatchesDense(int64_t head_dim, at::ScalarType dtype, double tolerance) {
  const FamilyBatch batch = VariedBatch();
  const int64_t tokens = batch.tokens.size(0);
  const AttentionInput input = MakeInput(tokens, head_dim, dtype);
  // A pace at which the heads that share a key do not cancel each other.
  const at::Tensor grad_out = Waves({tokens, kHeads, head_dim}, 0.0917, dtype);
  const AttentionInput exact = InDouble(input);
  const at::Tensor expected = DenseAttention(exact, DenseMask(batch));
  (expected * grad_out.to(at::kDouble)).sum().backward();

  const AttentionOutput output = FamilyAttention(input, batch.families);
  EXPECT_LT(RelativeError(output.out, expected), tolerance);
  const AttentionInput grad = FamilyAttentionBackward(input, output, grad_out, batch.families);
  EXPECT_LT(RelativeError(grad.query, exact.query.grad()), tolerance);
  EXPECT_LT(RelativeError(grad.key, exact.key.grad()), tolerance);
  EXPECT_LT(RelativeError(grad.value, exact.value.grad()), tolerance);
}

TEST(Attention, InDouble_MatchesDense) {
  ExpectMatchesDense(8, at::kDouble, 1e-12);
  ExpectMatchesDense(40, at::kDouble, 1e-12);
}

TEST(Attention, InFloat_MatchesDense) { ExpectMatchesDense(64, at::kFloat, 3e-6); }

// The output is rounded to 8 bits on either side of the merge, a gradient once.
TEST(Attention, InBfloat16_MatchesDenseToTwoRoundings) {
  ExpectMatchesDense(64, at::kBFloat16, 6e-3);
}

TEST(Attention, InBfloat16_KeepsTheLogSumExpInFloat) {
  const FamilyBatch batch = VariedBatch();
  const AttentionInput input = MakeInput(batch.tokens.size(0), 16, at::kBFloat16);
  EXPECT_EQ(FamilyAttention(input, batch.families).logsumexp.scalar_type(), at::kFloat);
}

TEST(Attention, NanInABranch_StaysInIt) {
  const FamilyBatch batch = VariedBatch();
  AttentionInput input = MakeInput(batch.tokens.size(0), 16, at::kFloat);
  const at::Tensor clean = FamilyAttention(input, batch.families).out;
  const Span branch = batch.families[1].branches[1];
  input.key[branch.begin + 3].fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor out = FamilyAttention(input, batch.families).out;
  EXPECT_TRUE(out.narrow(0, branch.begin + 3, branch.size - 3).isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(out.narrow(0, 0, branch.begin + 3), clean.narrow(0, 0, branch.begin + 3)));
}

}  // namespace
}  // namespace flame
