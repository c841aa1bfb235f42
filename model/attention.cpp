#include "model/attention.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/sum.h>

#include <cmath>

#include "model/kernels.h"
#include "model/varlen_attention.h"

namespace flame {
namespace {

// The flash kernels want [batch, heads, tokens, D]. Key heads are the batch and the query heads
// that share one are the heads, so that shared keys need no copy.

// [n, H, D] -> [Hkv, H / Hkv, n, D]
at::Tensor QueryView(const at::Tensor& x, int64_t kv_heads) {
  return x.unflatten(1, {kv_heads, x.size(1) / kv_heads}).permute({1, 2, 0, 3});
}

// [n, Hkv, D] -> [Hkv, group, n, D]
at::Tensor KeyView(const at::Tensor& x, int64_t group) {
  return x.transpose(0, 1).unsqueeze(1).expand({x.size(1), group, x.size(0), x.size(2)});
}

// [n, H] -> [Hkv, H / Hkv, n]
at::Tensor SumView(const at::Tensor& x, int64_t kv_heads) {
  return x.unflatten(1, {kv_heads, x.size(1) / kv_heads}).permute({1, 2, 0});
}

// Gradients of a repeated key or value, [Hkv, group, n, D] -> [n, Hkv, D].
at::Tensor SumOverGroup(const at::Tensor& x) {
  return (x.size(1) == 1 ? x.squeeze(1) : x.sum(1)).transpose(0, 1);
}

at::Tensor Rows(const at::Tensor& x, Span span) { return x.narrow(0, span.begin, span.size); }

AttentionInput Rows(const AttentionInput& x, Span queries, Span keys) {
  return {Rows(x.query, queries), Rows(x.key, keys), Rows(x.value, keys)};
}

// All tokens of a family. Its trunk's keys are the first of them, so one causal call, in which row
// i sees keys 0..min(i, P - 1), is the trunk on itself and the branches on the whole trunk.
Span Whole(const FamilyLayout& family) {
  Span span = family.trunk;
  for (const Span& branch : family.branches) span.size += branch.size;
  return span;
}

AttentionOutput Flash(const AttentionInput& x) {
  const int64_t kv_heads = x.key.size(1), group = x.query.size(1) / kv_heads;
  auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
      QueryView(x.query, kv_heads), KeyView(x.key, group), KeyView(x.value, group), 0.0,
      /*is_causal=*/true);
  return {out.permute({2, 0, 1, 3}).flatten(1, 2), lse.permute({2, 0, 1}).flatten(1, 2)};
}

AttentionInput FlashBackward(const AttentionInput& x, const AttentionOutput& merged,
                             const at::Tensor& grad_out) {
  const int64_t kv_heads = x.key.size(1), group = x.query.size(1) / kv_heads;
  auto [query, key, value] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      QueryView(grad_out, kv_heads), QueryView(x.query, kv_heads), KeyView(x.key, group),
      KeyView(x.value, group), QueryView(merged.out, kv_heads), SumView(merged.logsumexp, kv_heads),
      0.0, /*is_causal=*/true);
  return {query.permute({2, 0, 1, 3}).flatten(1, 2), SumOverGroup(key), SumOverGroup(value)};
}

SegmentShape ShapeOf(const AttentionInput& x, Span branch) {
  const int64_t d = x.query.size(2);
  return {branch.size, x.query.size(1), x.key.size(1), d, 1.0 / std::sqrt(static_cast<double>(d))};
}

// Merges a long branch's softmax over its own keys into its rows of `output`.
void AddLongBranch(const AttentionInput& x, Span branch, AttentionOutput* output) {
  const AttentionOutput own = Flash(Rows(x, branch, branch));
  at::Tensor out = Rows(output->out, branch), lse = Rows(output->logsumexp, branch);
  const at::Tensor merged = at::logaddexp(lse, own.logsumexp);
  const at::Tensor before = out.to(lse.scalar_type()).mul_((lse - merged).exp_().unsqueeze(2));
  out.copy_(
      before.addcmul(own.out.to(lse.scalar_type()), (own.logsumexp - merged).exp_().unsqueeze(2)));
  lse.copy_(merged);
}

void AddLongBranchBackward(const AttentionInput& x, const AttentionOutput& output,
                           const at::Tensor& grad_out, Span branch, AttentionInput* grad) {
  const AttentionInput own = FlashBackward(
      Rows(x, branch, branch), {Rows(output.out, branch), Rows(output.logsumexp, branch)},
      Rows(grad_out, branch));
  Rows(grad->query, branch).add_(own.query);
  Rows(grad->key, branch).copy_(own.key);
  Rows(grad->value, branch).copy_(own.value);
}

void AddShortBranch(const AttentionInput& x, Span branch, int64_t kv_head,
                    AttentionOutput* output) {
  const SegmentShape shape = ShapeOf(x, branch);
  const int64_t q = branch.begin * x.query.stride(0), k = branch.begin * x.key.stride(0);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.query.scalar_type(), "AddShortBranch", [&] {
    using wide_t = at::opmath_type<scalar_t>;
    ContinueSoftmax<scalar_t>(
        shape, kv_head, x.query.const_data_ptr<scalar_t>() + q,
        x.key.const_data_ptr<scalar_t>() + k, x.value.const_data_ptr<scalar_t>() + k,
        output->out.mutable_data_ptr<scalar_t>() + q,
        output->logsumexp.mutable_data_ptr<wide_t>() + branch.begin * shape.heads);
  });
}

void AddShortBranchBackward(const AttentionInput& x, const AttentionOutput& output,
                            const at::Tensor& grad_out, Span branch, int64_t kv_head,
                            AttentionInput* grad) {
  const SegmentShape shape = ShapeOf(x, branch);
  const int64_t q = branch.begin * x.query.stride(0), k = branch.begin * x.key.stride(0);
  AT_DISPATCH_FLOATING_TYPES(x.query.scalar_type(), "AddShortBranchBackward", [&] {
    const SegmentGradients<scalar_t> gradients = {
        grad_out.const_data_ptr<scalar_t>() + q,
        grad->query.mutable_data_ptr<scalar_t>() + q,
        grad->key.mutable_data_ptr<scalar_t>() + k,
        grad->value.mutable_data_ptr<scalar_t>() + k,
    };
    ContinueSoftmaxBackward<scalar_t>(
        shape, kv_head, x.query.const_data_ptr<scalar_t>() + q,
        x.key.const_data_ptr<scalar_t>() + k, x.value.const_data_ptr<scalar_t>() + k,
        output.out.const_data_ptr<scalar_t>() + q,
        output.logsumexp.const_data_ptr<scalar_t>() + branch.begin * shape.heads, gradients);
  });
}

AttentionInput To(const AttentionInput& x, at::ScalarType dtype) {
  return {x.query.to(dtype), x.key.to(dtype), x.value.to(dtype)};
}

// Families share nothing, so that many are dealt to threads whole; few use all of them inside.
template <class Body>
void ForEachFamily(const std::vector<FamilyLayout>& families, const Body& body) {
  const auto count = static_cast<int64_t>(families.size());
  const int64_t grain = count < 4 * at::get_num_threads() ? count : 1;
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_autograd;
    for (int64_t f = begin; f < end; ++f) body(families[f]);
  });
}

// Calls long_branch(branch) or, on all threads, short_branch(branch, kv_head).
template <class Long, class Short>
void ForEachBranch(const std::vector<FamilyLayout>& families, int64_t kv_heads,
                   const Long& long_branch, const Short& short_branch) {
  constexpr int64_t kTasksPerThread = 8;  // below it a second thread costs more than it gives
  std::vector<Span> short_ones;
  for (const FamilyLayout& family : families) {
    for (const Span& branch : family.branches) {
      if (branch.size > kMaxSegment) {
        long_branch(branch);
      } else if (branch.size > 0) {
        short_ones.push_back(branch);
      }
    }
  }
  const auto tasks = static_cast<int64_t>(short_ones.size()) * kv_heads;
  at::parallel_for(0, tasks, kTasksPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) short_branch(short_ones[t / kv_heads], t % kv_heads);
  });
}

}  // namespace

AttentionOutput FamilyAttention(const AttentionInput& input,
                                const std::vector<FamilyLayout>& families) {
  if (!input.query.is_cpu()) {
    return VarlenFamilyAttention(CudaKernel(input.query.scalar_type()), input, families);
  }
  AttentionOutput output;
  output.out = at::empty_like(input.query);
  output.logsumexp =
      at::empty({input.query.size(0), input.query.size(1)},
                input.query.options().dtype(at::toOpMathType(input.query.scalar_type())));
  ForEachFamily(families, [&](const FamilyLayout& family) {
    const Span whole = Whole(family);
    const AttentionOutput on_trunk = Flash(Rows(input, whole, family.trunk));
    Rows(output.out, whole).copy_(on_trunk.out);
    Rows(output.logsumexp, whole).copy_(on_trunk.logsumexp);
  });
  ForEachBranch(
      families, input.key.size(1),
      [&](const Span& branch) { AddLongBranch(input, branch, &output); },
      [&](const Span& branch, int64_t head) { AddShortBranch(input, branch, head, &output); });
  return output;
}

AttentionInput FamilyAttentionBackward(const AttentionInput& input, const AttentionOutput& output,
                                       const at::Tensor& grad_out,
                                       const std::vector<FamilyLayout>& families) {
  if (!input.query.is_cpu()) {
    return VarlenFamilyAttentionBackward(CudaKernel(input.query.scalar_type()), input, output,
                                         grad_out, families);
  }
  const at::ScalarType dtype = input.query.scalar_type(), wide = at::toOpMathType(dtype);
  if (dtype != wide) {
    // The flash backward sums a key's gradients over blocks of queries in the type of its inputs:
    // in bfloat16 a long trunk's would lose most of their digits.
    return To(FamilyAttentionBackward(To(input, wide), {output.out.to(wide), output.logsumexp},
                                      grad_out.to(wide), families),
              dtype);
  }
  AttentionInput grad{at::empty_like(input.query), at::empty_like(input.key),
                      at::empty_like(input.value)};
  ForEachFamily(families, [&](const FamilyLayout& family) {
    const Span whole = Whole(family);
    const AttentionInput on_trunk = FlashBackward(
        Rows(input, whole, family.trunk), {Rows(output.out, whole), Rows(output.logsumexp, whole)},
        Rows(grad_out, whole));
    Rows(grad.query, whole).copy_(on_trunk.query);
    Rows(grad.key, family.trunk).copy_(on_trunk.key);
    Rows(grad.value, family.trunk).copy_(on_trunk.value);
  });
  ForEachBranch(
      families, input.key.size(1),
      [&](const Span& branch) { AddLongBranchBackward(input, output, grad_out, branch, &grad); },
      [&](const Span& branch, int64_t head) {
        AddShortBranchBackward(input, output, grad_out, branch, head, &grad);
      });
  return grad;
}

}  // namespace flame
