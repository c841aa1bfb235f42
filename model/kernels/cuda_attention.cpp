// ATen's CUDA kernels for sequences of different lengths.
#include <ATen/ops/_efficient_attention_backward.h>
#include <ATen/ops/_efficient_attention_forward.h>
#include <ATen/ops/_flash_attention_backward.h>
#include <ATen/ops/_flash_attention_forward.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"
#include "model/kernels/varlen_attention.h"

namespace flame {
namespace {

// FlashAttention-2. Its log-sum-exp is [H, T]; key heads may be shared.
class Flash : public VarlenKernel {
 public:
  AttentionOutput Forward(const AttentionInput& x, const SequencePairs& s,
                          bool causal) const override {
    auto result = at::_flash_attention_forward(x.query, x.key, x.value, s.query_offsets,
                                               s.key_offsets, s.longest_query, s.longest_key,
                                               /*dropout_p=*/0.0, causal,
                                               /*return_debug_mask=*/false);
    return {std::get<0>(result), std::get<1>(result).t().contiguous()};
  }

  AttentionInput Backward(const AttentionInput& x, const AttentionOutput& merged,
                          const at::Tensor& grad_out, const SequencePairs& s,
                          bool causal) const override {
    // Only dropout reads the random state.
    const at::Tensor state = at::zeros({2}, x.query.options().dtype(at::kUInt64));
    auto [query, key, value] = at::_flash_attention_backward(
        grad_out, x.query, x.key, x.value, merged.out, merged.logsumexp.t().contiguous(),
        s.query_offsets, s.key_offsets, s.longest_query, s.longest_key, /*dropout_p=*/0.0, causal,
        state, state);
    return {query, key, value};
  }
};

// [T, Hkv, D] -> [1, T, H, D], a key head repeated for each query head that shares it.
at::Tensor Repeated(const at::Tensor& x, int64_t heads) {
  const int64_t group = heads / x.size(1);
  return x.unsqueeze(2)
      .expand({x.size(0), x.size(1), group, x.size(2)})
      .reshape({1, x.size(0), heads, x.size(2)});
}

at::Tensor SumOverGroup(const at::Tensor& x, int64_t kv_heads) {
  return x.squeeze(0).unflatten(1, {kv_heads, x.size(2) / kv_heads}).sum(2);
}

// Memory-efficient attention (Rabe & Staats 2021), which also takes float32. Its log-sum-exp is
// [S, H, length] with a length that is a multiple of 32.
class Efficient : public VarlenKernel {
 public:
  AttentionOutput Forward(const AttentionInput& x, const SequencePairs& s,
                          bool causal) const override {
    const int64_t heads = x.query.size(1);
    auto result = at::_efficient_attention_forward(
        x.query.unsqueeze(0), Repeated(x.key, heads), Repeated(x.value, heads), /*bias=*/{},
        s.query_offsets, s.key_offsets, s.longest_query, s.longest_key, /*dropout_p=*/0.0,
        MaskType(causal), /*compute_log_sumexp=*/true);
    return {std::get<0>(result).squeeze(0),
            PackSums(std::get<1>(result), s.query_offsets, x.query.size(0))};
  }

  AttentionInput Backward(const AttentionInput& x, const AttentionOutput& merged,
                          const at::Tensor& grad_out, const SequencePairs& s,
                          bool causal) const override {
    const int64_t heads = x.query.size(1), kv_heads = x.key.size(1);
    const at::Tensor state = at::zeros({}, x.query.options().dtype(at::kLong));
    auto result = at::_efficient_attention_backward(
        grad_out.unsqueeze(0), x.query.unsqueeze(0), Repeated(x.key, heads),
        Repeated(x.value, heads), /*bias=*/{}, merged.out.unsqueeze(0), s.query_offsets,
        s.key_offsets, s.longest_query, s.longest_key,
        PadSums(merged.logsumexp, s.query_offsets, (s.longest_query + 31) / 32 * 32),
        /*dropout_p=*/0.0, state, state, MaskType(causal), /*bias_requires_grad=*/false);
    return {std::get<0>(result).squeeze(0), SumOverGroup(std::get<1>(result), kv_heads),
            SumOverGroup(std::get<2>(result), kv_heads)};
  }

 private:
  static int64_t MaskType(bool causal) { return causal ? 1 : 0; }  // 1: causal from the top left
};

}  // namespace

const VarlenKernel& CudaKernel(at::ScalarType dtype) {
  static const Flash flash;
  static const Efficient efficient;
  if (dtype == at::kBFloat16) return flash;
  if (dtype == at::kFloat) return efficient;
  throw UsageError("attention on a GPU takes bfloat16 and float32, found ", c10::toString(dtype));
}

}  // namespace flame
