#include "model/kernels/attention.h"

#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "model/kernels/kernels.h"
#include "model/kernels/varlen_attention.h"

namespace flame {
namespace {

// The flash kernels want [batch, heads, tokens, D]. The key heads serve as the batch and the query
// heads that share a key head as the heads, so that shared keys need no copy.

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

// Returns all queries of a family as one span. One call attends from all of them to the trunk's P
// keys: row i of a causal call sees keys 0..min(i, P - 1), which is the trunk on itself and the
// branches on the whole trunk. The call is causal only if the whole trunk attends.
Span Whole(const FamilyLayout& queries) {
  Span span = queries.trunk;
  for (const Span& branch : queries.branches) span.size += branch.size;
  return span;
}

bool IsCausal(const FamilyLayout& queries) { return queries.trunk.size > 1; }

AttentionOutput Flash(const AttentionInput& x, bool causal) {
  const int64_t kv_heads = x.key.size(1), group = x.query.size(1) / kv_heads;
  auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
      QueryView(x.query, kv_heads), KeyView(x.key, group), KeyView(x.value, group), 0.0, causal);
  return {out.permute({2, 0, 1, 3}).flatten(1, 2), lse.permute({2, 0, 1}).flatten(1, 2)};
}

AttentionInput FlashBackward(const AttentionInput& x, const AttentionOutput& merged,
                             const at::Tensor& grad_out, bool causal) {
  const int64_t kv_heads = x.key.size(1), group = x.query.size(1) / kv_heads;
  auto [query, key, value] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      QueryView(grad_out, kv_heads), QueryView(x.query, kv_heads), KeyView(x.key, group),
      KeyView(x.value, group), QueryView(merged.out, kv_heads), SumView(merged.logsumexp, kv_heads),
      0.0, causal);
  return {query.permute({2, 0, 1, 3}).flatten(1, 2), SumOverGroup(key), SumOverGroup(value)};
}

// Returns the last `size` rows of x [q, ...], with zeros in front if q < size: the query rows of a
// whole segment of which only the last q attend.
at::Tensor PadFront(const at::Tensor& x, int64_t size) {
  if (x.size(0) == size) return x;
  std::vector<int64_t> shape = x.sizes().vec();
  shape[0] = size - x.size(0);
  return at::cat({at::zeros(shape, x.options()), x});
}

at::Tensor LastRows(const at::Tensor& x, int64_t count) {
  return x.narrow(0, x.size(0) - count, count);
}

// A branch on the axes of keys and queries.
struct BranchSpans {
  Span keys, queries;
};

SegmentShape ShapeOf(const AttentionInput& x, const BranchSpans& branch) {
  const int64_t d = x.query.size(2);
  return {branch.queries.size,
          branch.keys.size,
          x.query.size(1),
          x.key.size(1),
          d,
          1.0 / std::sqrt(static_cast<double>(d))};
}

AttentionInput OfLongBranch(const AttentionInput& x, const BranchSpans& branch) {
  AttentionInput own = Rows(x, branch.queries, branch.keys);
  own.query = PadFront(own.query, branch.keys.size);
  return own;
}

// Merges a long branch's softmax over its own keys into its rows of `output`.
void AddLongBranch(const AttentionInput& x, const BranchSpans& branch, AttentionOutput* output) {
  const int64_t count = branch.queries.size;
  const AttentionOutput whole = Flash(OfLongBranch(x, branch), /*causal=*/true);
  const AttentionOutput own = {LastRows(whole.out, count), LastRows(whole.logsumexp, count)};
  at::Tensor out = Rows(output->out, branch.queries);
  at::Tensor lse = Rows(output->logsumexp, branch.queries);
  const at::Tensor merged = at::logaddexp(lse, own.logsumexp);
  const at::Tensor before = out.to(lse.scalar_type()).mul_((lse - merged).exp_().unsqueeze(2));
  out.copy_(
      before.addcmul(own.out.to(lse.scalar_type()), (own.logsumexp - merged).exp_().unsqueeze(2)));
  lse.copy_(merged);
}

void AddLongBranchBackward(const AttentionInput& x, const AttentionOutput& output,
                           const at::Tensor& grad_out, const BranchSpans& branch,
                           AttentionInput* grad) {
  const auto padded = [&](const at::Tensor& rows) {
    return PadFront(Rows(rows, branch.queries), branch.keys.size);
  };
  // A padded row's gradient is zero, so its softmax does not matter.
  const AttentionInput own =
      FlashBackward(OfLongBranch(x, branch), {padded(output.out), padded(output.logsumexp)},
                    padded(grad_out), /*causal=*/true);
  Rows(grad->query, branch.queries).add_(LastRows(own.query, branch.queries.size));
  Rows(grad->key, branch.keys).copy_(own.key);
  Rows(grad->value, branch.keys).copy_(own.value);
}

void AddShortBranch(const AttentionInput& x, const BranchSpans& branch, int64_t kv_head,
                    AttentionOutput* output) {
  const SegmentShape shape = ShapeOf(x, branch);
  const int64_t q = branch.queries.begin * x.query.stride(0);
  const int64_t k = branch.keys.begin * x.key.stride(0);
  AT_DISPATCH_FLOATING_TYPES(x.query.scalar_type(), "AddShortBranch", [&] {
    ContinueSoftmax<scalar_t>(
        shape, kv_head, x.query.const_data_ptr<scalar_t>() + q,
        x.key.const_data_ptr<scalar_t>() + k, x.value.const_data_ptr<scalar_t>() + k,
        output->out.mutable_data_ptr<scalar_t>() + q,
        output->logsumexp.mutable_data_ptr<scalar_t>() + branch.queries.begin * shape.heads);
  });
}

void AddShortBranchBackward(const AttentionInput& x, const AttentionOutput& output,
                            const at::Tensor& grad_out, const BranchSpans& branch, int64_t kv_head,
                            AttentionInput* grad) {
  const SegmentShape shape = ShapeOf(x, branch);
  const int64_t q = branch.queries.begin * x.query.stride(0);
  const int64_t k = branch.keys.begin * x.key.stride(0);
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
        output.logsumexp.const_data_ptr<scalar_t>() + branch.queries.begin * shape.heads,
        gradients);
  });
}

AttentionInput To(const AttentionInput& x, at::ScalarType dtype) {
  return {x.query.to(dtype), x.key.to(dtype), x.value.to(dtype)};
}

// Families share nothing. Many are dealt to the threads whole; a few each use all threads inside.
template <class Body>
void ForEachFamily(const AttentionLayout& layout, const Body& body) {
  const auto count = static_cast<int64_t>(layout.keys.size());
  const int64_t grain = count < 4 * at::get_num_threads() ? count : 1;
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_autograd;
    for (int64_t f = begin; f < end; ++f) {
      if (Whole(layout.queries[f]).size > 0) body(layout.keys[f], layout.queries[f]);
    }
  });
}

// Calls, for every branch with queries, either long_branch(branch) or, on all threads,
// short_branch(branch, kv_head).
template <class Long, class Short>
void ForEachBranch(const AttentionLayout& layout, int64_t kv_heads, const Long& long_branch,
                   const Short& short_branch) {
  constexpr int64_t kTasksPerThread = 8;  // with fewer, a second thread costs more than it gains
  std::vector<BranchSpans> short_ones;
  for (size_t f = 0; f < layout.keys.size(); ++f) {
    for (size_t b = 0; b < layout.keys[f].branches.size(); ++b) {
      const BranchSpans branch{layout.keys[f].branches[b], layout.queries[f].branches[b]};
      if (branch.queries.size == 0) continue;
      if (branch.keys.size > kMaxSegment) {
        long_branch(branch);
      } else {
        short_ones.push_back(branch);
      }
    }
  }
  const auto tasks = static_cast<int64_t>(short_ones.size()) * kv_heads;
  at::parallel_for(0, tasks, kTasksPerThread, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) short_branch(short_ones[t / kv_heads], t % kv_heads);
  });
}

// Returns each query's index on the packed axis, for kernels that take as many queries as keys.
at::Tensor RowsOfQueries(const AttentionLayout& layout, at::Device device) {
  std::vector<int64_t> rows;
  const auto add = [&](const Span& keys, const Span& queries) {
    const int64_t end = keys.begin + keys.size;
    for (int64_t row = end - queries.size; row < end; ++row) rows.push_back(row);
  };
  for (size_t f = 0; f < layout.keys.size(); ++f) {
    add(layout.keys[f].trunk, layout.queries[f].trunk);
    for (size_t b = 0; b < layout.keys[f].branches.size(); ++b) {
      add(layout.keys[f].branches[b], layout.queries[f].branches[b]);
    }
  }
  return at::tensor(rows, at::kLong).to(device);
}

// Expands [Q, ...] to [T, ...] with zeros in all other rows.
at::Tensor Spread(const at::Tensor& x, const at::Tensor& rows, int64_t tokens) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape[0] = tokens;
  return at::zeros(shape, x.options()).index_copy_(0, rows, x);
}

AttentionOutput OnDevice(const AttentionInput& input, const AttentionLayout& layout) {
  const VarlenKernel& kernel = CudaKernel(input.query.scalar_type());
  const int64_t tokens = input.key.size(0);
  if (input.query.size(0) == tokens) return VarlenFamilyAttention(kernel, input, layout.keys);
  const at::Tensor rows = RowsOfQueries(layout, input.query.device());
  const AttentionOutput all = VarlenFamilyAttention(
      kernel, {Spread(input.query, rows, tokens), input.key, input.value}, layout.keys);
  return {all.out.index_select(0, rows), all.logsumexp.index_select(0, rows)};
}

AttentionInput OnDeviceBackward(const AttentionInput& input, const AttentionOutput& output,
                                const at::Tensor& grad_out, const AttentionLayout& layout) {
  const VarlenKernel& kernel = CudaKernel(input.query.scalar_type());
  const int64_t tokens = input.key.size(0);
  if (input.query.size(0) == tokens) {
    return VarlenFamilyAttentionBackward(kernel, input, output, grad_out, layout.keys);
  }
  const at::Tensor rows = RowsOfQueries(layout, input.query.device());
  const auto spread = [&](const at::Tensor& x) { return Spread(x, rows, tokens); };
  // A row that does not attend has a zero gradient, whatever its softmax is.
  AttentionInput grad = VarlenFamilyAttentionBackward(
      kernel, {spread(input.query), input.key, input.value},
      {spread(output.out), spread(output.logsumexp)}, spread(grad_out), layout.keys);
  grad.query = grad.query.index_select(0, rows);
  return grad;
}

}  // namespace

AttentionOutput FamilyAttention(const AttentionInput& input, const AttentionLayout& layout) {
  if (!input.query.is_cpu()) return OnDevice(input, layout);
  const at::ScalarType dtype = input.query.scalar_type(), wide = at::toOpMathType(dtype);
  if (dtype != wide) {
    // Converts once: ATen's bfloat16 flash kernel multiplies in float32 too, but converts by block.
    AttentionOutput output = FamilyAttention(To(input, wide), layout);
    output.out = output.out.to(dtype);
    return output;
  }
  AttentionOutput output;
  output.out = at::empty_like(input.query);
  output.logsumexp = at::empty({input.query.size(0), input.query.size(1)}, input.query.options());
  ForEachFamily(layout, [&](const FamilyLayout& keys, const FamilyLayout& queries) {
    const Span whole = Whole(queries);
    const AttentionOutput on_trunk = Flash(Rows(input, whole, keys.trunk), IsCausal(queries));
    Rows(output.out, whole).copy_(on_trunk.out);
    Rows(output.logsumexp, whole).copy_(on_trunk.logsumexp);
  });
  ForEachBranch(
      layout, input.key.size(1),
      [&](const BranchSpans& branch) { AddLongBranch(input, branch, &output); },
      [&](const BranchSpans& branch, int64_t head) {
        AddShortBranch(input, branch, head, &output);
      });
  return output;
}

AttentionInput FamilyAttentionBackward(const AttentionInput& input, const AttentionOutput& output,
                                       const at::Tensor& grad_out, const AttentionLayout& layout) {
  if (!input.query.is_cpu()) return OnDeviceBackward(input, output, grad_out, layout);
  const at::ScalarType dtype = input.query.scalar_type(), wide = at::toOpMathType(dtype);
  if (dtype != wide) {
    // The flash backward sums a key's gradients over blocks of queries in its inputs' type. In
    // bfloat16 the sums of a long trunk would lose most of their digits.
    return To(FamilyAttentionBackward(To(input, wide), {output.out.to(wide), output.logsumexp},
                                      grad_out.to(wide), layout),
              dtype);
  }
  // Keys that no query sees have no gradient.
  const bool all_ask = input.query.size(0) == input.key.size(0);
  const auto like = [&](const at::Tensor& x) {
    return all_ask ? at::empty_like(x) : at::zeros_like(x);
  };
  AttentionInput grad{at::empty_like(input.query), like(input.key), like(input.value)};
  ForEachFamily(layout, [&](const FamilyLayout& keys, const FamilyLayout& queries) {
    const Span whole = Whole(queries);
    const AttentionInput on_trunk = FlashBackward(
        Rows(input, whole, keys.trunk), {Rows(output.out, whole), Rows(output.logsumexp, whole)},
        Rows(grad_out, whole), IsCausal(queries));
    Rows(grad.query, whole).copy_(on_trunk.query);
    Rows(grad.key, keys.trunk).copy_(on_trunk.key);
    Rows(grad.value, keys.trunk).copy_(on_trunk.value);
  });
  ForEachBranch(
      layout, input.key.size(1),
      [&](const BranchSpans& branch) {
        AddLongBranchBackward(input, output, grad_out, branch, &grad);
      },
      [&](const BranchSpans& branch, int64_t head) {
        AddShortBranchBackward(input, output, grad_out, branch, head, &grad);
      });
  return grad;
}

}  // namespace flame
