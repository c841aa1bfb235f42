#include "model/kernels/varlen_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bucketize.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <limits>

namespace flame {
namespace {

// The two calls over a batch, and the rows of the packed axis that the second call takes.
struct Plan {
  SequencePairs own;                   // every segment on itself
  SequencePairs on_trunk;              // a family's branches, as one sequence, on its trunk
  at::Tensor branch_rows, trunk_rows;  // int64; trunks without branches are left out
};

struct SideBuilder {
  std::vector<int64_t> offsets = {0}, rows;
  int64_t longest = 0;
  void Add(int64_t begin, int64_t size) {
    for (int64_t i = begin; i < begin + size; ++i) rows.push_back(i);
    offsets.push_back(offsets.back() + size);
    longest = std::max(longest, size);
  }
};

SequencePairs Pair(const SideBuilder& queries, const SideBuilder& keys, at::Device device) {
  const auto offsets = [&](const SideBuilder& side) {
    return at::tensor(side.offsets, at::kInt).to(device);
  };
  return {offsets(queries), offsets(keys), queries.longest, keys.longest};
}

Plan MakePlan(const std::vector<FamilyLayout>& families, at::Device device) {
  SideBuilder own, branches, trunks;
  for (const FamilyLayout& family : families) {
    own.Add(family.trunk.begin, family.trunk.size);
    int64_t size = 0;
    for (const Span& branch : family.branches) {
      if (branch.size > 0) own.Add(branch.begin, branch.size);
      size += branch.size;
    }
    if (size == 0) continue;
    branches.Add(family.trunk.begin + family.trunk.size, size);
    trunks.Add(family.trunk.begin, family.trunk.size);
  }
  return {Pair(own, own, device), Pair(branches, trunks, device),
          at::tensor(branches.rows, at::kLong).to(device),
          at::tensor(trunks.rows, at::kLong).to(device)};
}

AttentionInput BranchesOnTrunks(const AttentionInput& x, const Plan& plan) {
  return {x.query.index_select(0, plan.branch_rows), x.key.index_select(0, plan.trunk_rows),
          x.value.index_select(0, plan.trunk_rows)};
}

// Returns the index of each packed row in the flattened [S, length].
at::Tensor PaddedPlaces(const at::Tensor& offsets, int64_t tokens, int64_t length) {
  const at::Tensor row = at::arange(tokens, offsets.options().dtype(at::kLong));
  const at::Tensor starts = offsets.to(at::kLong);
  const at::Tensor sequence =
      at::bucketize(row, starts.narrow(0, 1, starts.size(0) - 1), /*out_int32=*/false,
                    /*right=*/true);
  return sequence * length + row - starts.index_select(0, sequence);
}

}  // namespace

AttentionOutput VarlenFamilyAttention(const VarlenKernel& kernel, const AttentionInput& input,
                                      const std::vector<FamilyLayout>& families) {
  const Plan plan = MakePlan(families, input.query.device());
  AttentionOutput output = kernel.Forward(input, plan.own, /*causal=*/true);
  if (plan.branch_rows.size(0) == 0) return output;
  const AttentionOutput other =
      kernel.Forward(BranchesOnTrunks(input, plan), plan.on_trunk, /*causal=*/false);
  const at::Tensor lse = output.logsumexp.index_select(0, plan.branch_rows);
  const at::Tensor merged = at::logaddexp(lse, other.logsumexp);
  const at::Tensor out =
      output.out.index_select(0, plan.branch_rows) * (lse - merged).exp_().unsqueeze(2) +
      other.out * (other.logsumexp - merged).exp_().unsqueeze(2);
  output.out.index_copy_(0, plan.branch_rows, out.to(output.out.scalar_type()));
  output.logsumexp.index_copy_(0, plan.branch_rows, merged);
  return output;
}

AttentionInput VarlenFamilyAttentionBackward(const VarlenKernel& kernel,
                                             const AttentionInput& input,
                                             const AttentionOutput& output,
                                             const at::Tensor& grad_out,
                                             const std::vector<FamilyLayout>& families) {
  const Plan plan = MakePlan(families, input.query.device());
  AttentionInput grad = kernel.Backward(input, output, grad_out, plan.own, /*causal=*/true);
  if (plan.branch_rows.size(0) == 0) return grad;
  const AttentionOutput merged = {output.out.index_select(0, plan.branch_rows),
                                  output.logsumexp.index_select(0, plan.branch_rows)};
  const AttentionInput other =
      kernel.Backward(BranchesOnTrunks(input, plan), merged,
                      grad_out.index_select(0, plan.branch_rows), plan.on_trunk, /*causal=*/false);
  // No row occurs twice, so the order of the sums does not matter.
  grad.query.index_add_(0, plan.branch_rows, other.query);
  grad.key.index_add_(0, plan.trunk_rows, other.key);
  grad.value.index_add_(0, plan.trunk_rows, other.value);
  return grad;
}

at::Tensor PadSums(const at::Tensor& packed, const at::Tensor& offsets, int64_t length) {
  const int64_t count = offsets.size(0) - 1;
  at::Tensor padded = at::full({count * length, packed.size(1)},
                               std::numeric_limits<double>::infinity(), packed.options());
  padded.index_copy_(0, PaddedPlaces(offsets, packed.size(0), length), packed);
  return padded.view({count, length, packed.size(1)}).transpose(1, 2).contiguous();
}

at::Tensor PackSums(const at::Tensor& padded, const at::Tensor& offsets, int64_t tokens) {
  const int64_t length = padded.size(2);
  return padded.transpose(1, 2)
      .reshape({padded.size(0) * length, padded.size(1)})
      .index_select(0, PaddedPlaces(offsets, tokens, length));
}

}  // namespace flame
