// Tests attention over families against a dense mask in double; derivatives come from autograd.
#include "model/kernels/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/kernels/varlen_attention.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

constexpr int64_t kHeads = 6, kKvHeads = 2;

at::Tensor Waves(at::IntArrayRef shape, double pace, at::ScalarType dtype) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count, at::kDouble) * pace).sin().mul_(1.5).view(shape).to(dtype);
}

// Returns families whose branches lie around every boundary: tiles of 8 and 16, and the longest
// segment of the short kernel.
FamilyBatch VariedBatch() {
  return PackFamilies({MakeFamily(5, {1, 3, 8}, 37, 1), MakeFamily(70, {9, 16, 17, 30}, 37, 2),
                       MakeFamily(1, {64, 65, 66, 2}, 37, 3), MakeFamily(33, {}, 37, 4),
                       MakeFamily(20, std::vector<int64_t>(25, 12), 37, 5)});
}

// Returns the mask of what each token may see: [T, T], 0 or -inf.
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

// Returns |a - b| / |b| over all elements.
double RelativeError(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
}

AttentionLayout AllRows(const FamilyBatch& batch) { return {batch.families, batch.families}; }

// Compares the families' attention in `dtype` with dense attention in double on the same numbers.
void ExpectMatchesDense(int64_t head_dim, at::ScalarType dtype, double tolerance) {
  const FamilyBatch batch = VariedBatch();
  const int64_t tokens = batch.tokens.size(0);
  const AttentionInput input = MakeInput(tokens, head_dim, dtype);
  // With this pace, heads that share a key do not cancel each other.
  const at::Tensor grad_out = Waves({tokens, kHeads, head_dim}, 0.0917, dtype);
  const AttentionInput exact = InDouble(input);
  const at::Tensor expected = DenseAttention(exact, DenseMask(batch));
  (expected * grad_out.to(at::kDouble)).sum().backward();

  const AttentionOutput output = FamilyAttention(input, AllRows(batch));
  EXPECT_LT(RelativeError(output.out, expected), tolerance);
  const AttentionInput grad = FamilyAttentionBackward(input, output, grad_out, AllRows(batch));
  EXPECT_LT(RelativeError(grad.query, exact.query.grad()), tolerance);
  EXPECT_LT(RelativeError(grad.key, exact.key.grad()), tolerance);
  EXPECT_LT(RelativeError(grad.value, exact.value.grad()), tolerance);
}

// Like ExpectMatchesDense, but only the asked rows attend.
void ExpectAskedRowsMatchDense(int64_t head_dim, at::ScalarType dtype, double tolerance) {
  const FamilyBatch batch = PackFamilies(
      {MakeFamily(5, {1, 3, 9, 30}, 37, 1, 2), MakeFamily(70, {9, 18, 17, 64}, 37, 2, 9),
       MakeFamily(1, {64, 65, 66, 2}, 37, 3), MakeFamily(33, {}, 37, 4),
       MakeFamily(20, {80, 7, 66}, 37, 5, 66), MakeFamily(4, {3, 3}, 37, 6, 3)});
  const at::Tensor& rows = batch.asked_rows;
  AttentionInput input = MakeInput(batch.tokens.size(0), head_dim, dtype);
  const AttentionInput exact = InDouble(input);
  const at::Tensor expected = DenseAttention(exact, DenseMask(batch)).index_select(0, rows);
  const at::Tensor grad_out = Waves({rows.size(0), kHeads, head_dim}, 0.0917, dtype);
  (expected * grad_out.to(at::kDouble)).sum().backward();

  input.query = input.query.index_select(0, rows);
  const AttentionLayout layout{batch.families, batch.asked};
  const AttentionOutput output = FamilyAttention(input, layout);
  EXPECT_LT(RelativeError(output.out, expected), tolerance);
  const AttentionInput grad = FamilyAttentionBackward(input, output, grad_out, layout);
  EXPECT_LT(RelativeError(grad.query, exact.query.grad().index_select(0, rows)), tolerance);
  EXPECT_LT(RelativeError(grad.key, exact.key.grad()), tolerance);
  EXPECT_LT(RelativeError(grad.value, exact.value.grad()), tolerance);
}

TEST(Attention, OfAskedRowsOnly_MatchesDense) {
  ExpectAskedRowsMatchDense(40, at::kDouble, 1e-12);
  ExpectAskedRowsMatchDense(64, at::kFloat, 3e-6);
  ExpectAskedRowsMatchDense(64, at::kBFloat16, 6e-3);
}

TEST(Attention, InDouble_MatchesDense) {
  ExpectMatchesDense(8, at::kDouble, 1e-12);
  ExpectMatchesDense(40, at::kDouble, 1e-12);
}

TEST(Attention, InFloat_MatchesDense) { ExpectMatchesDense(64, at::kFloat, 3e-6); }

// The output is rounded to 8 bits before and after the merge, a gradient once.
TEST(Attention, InBfloat16_MatchesDenseToTwoRoundings) {
  ExpectMatchesDense(64, at::kBFloat16, 6e-3);
}

TEST(Attention, InBfloat16_KeepsTheLogSumExpInFloat) {
  const FamilyBatch batch = VariedBatch();
  const AttentionInput input = MakeInput(batch.tokens.size(0), 16, at::kBFloat16);
  EXPECT_EQ(FamilyAttention(input, AllRows(batch)).logsumexp.scalar_type(), at::kFloat);
}

TEST(Attention, NanInABranch_StaysInIt) {
  const FamilyBatch batch = VariedBatch();
  AttentionInput input = MakeInput(batch.tokens.size(0), 16, at::kFloat);
  const at::Tensor clean = FamilyAttention(input, AllRows(batch)).out;
  const Span branch = batch.families[1].branches[1];
  input.key[branch.begin + 3].fill_(std::numeric_limits<float>::quiet_NaN());
  const at::Tensor out = FamilyAttention(input, AllRows(batch)).out;
  EXPECT_TRUE(out.narrow(0, branch.begin + 3, branch.size - 3).isnan().all().item<bool>());
  EXPECT_TRUE(at::equal(out.narrow(0, 0, branch.begin + 3), clean.narrow(0, 0, branch.begin + 3)));
}

// A kernel that takes the sequences one by one, with dense scores.
class DenseKernel : public VarlenKernel {
 public:
  AttentionOutput Forward(const AttentionInput& x, const SequencePairs& s,
                          bool causal) const override {
    AttentionOutput output = {at::zeros_like(x.query),
                              at::zeros({x.query.size(0), x.query.size(1)}, x.query.options())};
    ForEach(x, s, causal, [&](Span q, Span k, const at::Tensor& scores) {
      const at::Tensor lse = scores.logsumexp(2);
      const at::Tensor weights = (scores - lse.unsqueeze(2)).exp();
      output.out.narrow(0, q.begin, q.size)
          .copy_(at::matmul(weights, Heads(x.value, x, k)).transpose(0, 1));
      output.logsumexp.narrow(0, q.begin, q.size).copy_(lse.t());
    });
    return output;
  }

  AttentionInput Backward(const AttentionInput& x, const AttentionOutput& merged,
                          const at::Tensor& grad_out, const SequencePairs& s,
                          bool causal) const override {
    AttentionInput grad = {at::zeros_like(x.query), at::zeros_like(x.key), at::zeros_like(x.value)};
    const double scale = 1 / std::sqrt(static_cast<double>(x.query.size(2)));
    ForEach(x, s, causal, [&](Span q, Span k, const at::Tensor& scores) {
      const auto rows = [&](const at::Tensor& t) {
        return t.narrow(0, q.begin, q.size).transpose(0, 1);
      };
      const at::Tensor weights = (scores - rows(merged.logsumexp).unsqueeze(2)).exp();
      const at::Tensor g = rows(grad_out), delta = (g * rows(merged.out)).sum(2, true);
      const at::Tensor slope =
          weights * (at::matmul(g, Heads(x.value, x, k).transpose(1, 2)) - delta) * scale;
      rows(grad.query).add_(at::matmul(slope, Heads(x.key, x, k)));
      AddToKeys(at::matmul(slope.transpose(1, 2), rows(x.query)), k, &grad.key);
      AddToKeys(at::matmul(weights.transpose(1, 2), g), k, &grad.value);
    });
    return grad;
  }

 private:
  // Returns one sequence's keys or values for every query head, [H, n, D].
  static at::Tensor Heads(const at::Tensor& t, const AttentionInput& x, Span k) {
    return t.narrow(0, k.begin, k.size)
        .repeat_interleave(x.query.size(1) / x.key.size(1), 1)
        .transpose(0, 1);
  }
  static void AddToKeys(const at::Tensor& by_head, Span k, at::Tensor* grad) {
    grad->narrow(0, k.begin, k.size)
        .add_(by_head.transpose(0, 1).unflatten(1, {grad->size(1), -1}).sum(2));
  }
  template <class Body>
  static void ForEach(const AttentionInput& x, const SequencePairs& s, bool causal,
                      const Body& body) {
    const double scale = 1 / std::sqrt(static_cast<double>(x.query.size(2)));
    const auto span = [](const at::Tensor& offsets, int64_t i) {
      const auto begin = offsets[i].item<int64_t>();
      return Span{begin, offsets[i + 1].item<int64_t>() - begin};
    };
    for (int64_t i = 0; i + 1 < s.query_offsets.size(0); ++i) {
      const Span q = span(s.query_offsets, i), k = span(s.key_offsets, i);
      ASSERT_LE(q.size, s.longest_query);
      ASSERT_LE(k.size, s.longest_key);
      at::Tensor scores = at::matmul(x.query.narrow(0, q.begin, q.size).transpose(0, 1),
                                     Heads(x.key, x, k).transpose(1, 2)) *
                          scale;
      if (causal) {
        ASSERT_EQ(q.size, k.size);
        scores = scores.masked_fill(at::ones({q.size, k.size}, at::kBool).tril().logical_not(),
                                    -std::numeric_limits<double>::infinity());
      }
      body(q, k, scores);
    }
  }
};

void ExpectVarlenMatchesDense(const FamilyBatch& batch) {
  const int64_t tokens = batch.tokens.size(0);
  const AttentionInput input = MakeInput(tokens, 8, at::kDouble);
  const at::Tensor grad_out = Waves({tokens, kHeads, 8}, 0.23, at::kDouble);
  const AttentionInput exact = InDouble(input);
  const at::Tensor expected = DenseAttention(exact, DenseMask(batch));
  (expected * grad_out).sum().backward();

  const DenseKernel kernel;
  const AttentionOutput output = VarlenFamilyAttention(kernel, input, batch.families);
  EXPECT_LT(Difference(output.out, expected), 1e-12);
  const AttentionInput grad =
      VarlenFamilyAttentionBackward(kernel, input, output, grad_out, batch.families);
  EXPECT_LT(Difference(grad.query, exact.query.grad()), 1e-12);
  EXPECT_LT(Difference(grad.key, exact.key.grad()), 1e-12);
  EXPECT_LT(Difference(grad.value, exact.value.grad()), 1e-12);
}

TEST(VarlenAttention, FamiliesWithAndWithoutBranches_MatchDense) {
  ExpectVarlenMatchesDense(VariedBatch());
  // A branch of one asked-for token leaves no row of its own.
  ExpectVarlenMatchesDense(PackFamilies(
      {MakeFamily(5, {1, 1, 3}, 37, 1), MakeFamily(2, {1}, 37, 2), MakeFamily(3, {2, 4}, 37, 3)}));
  ExpectVarlenMatchesDense(PackFamilies({MakeFamily(6, {}, 37, 1), MakeFamily(9, {}, 37, 2)}));
}

TEST(VarlenAttention, PaddedSums_StandAtTheirSequencesAndBack) {
  const at::Tensor offsets = at::tensor({0, 3, 4, 6}, at::kInt);
  const at::Tensor packed = at::arange(12, at::kDouble).view({6, 2});
  const at::Tensor padded = PadSums(packed, offsets, 4);
  const double inf = std::numeric_limits<double>::infinity();
  const at::Tensor expected =
      at::tensor({0., 2.,  4.,  inf, 1., 3.,  5.,  inf, 6., inf, inf, inf,  //
                  7., inf, inf, inf, 8., 10., inf, inf, 9., 11., inf, inf},
                 at::kDouble)
          .view({3, 2, 4});
  EXPECT_TRUE(at::equal(padded, expected));
  EXPECT_TRUE(at::equal(PackSums(padded, offsets, 6), packed));
}

}  // namespace
}  // namespace flame
