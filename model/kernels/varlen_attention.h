// Attention over packed families for devices whose kernels take many sequences of different lengths
// in one call: one call in which every trunk and branch attends to itself, one in which all
// branches attend to their trunks, merged by their log-sum-exp.
#ifndef FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_
#define FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "model/kernels/attention_tensors.h"

namespace flame {

// S pairs of a sequence of queries and one of keys, each packed one behind the other.
// Worked example: a trunk of 5 tokens and branches of 2 and 3: the own sequences have offsets
// {0, 5, 7, 10} on both sides; the branches on their trunk {0, 5} and {0, 5}.
struct SequencePairs {
  at::Tensor query_offsets, key_offsets;  // int32 [S + 1], on the tensors' device
  int64_t longest_query = 0, longest_key = 0;
};

// A kernel over such pairs. `causal` is asked for only where both sides are as long.
class VarlenKernel {
 public:
  virtual ~VarlenKernel() = default;
  virtual AttentionOutput Forward(const AttentionInput& input, const SequencePairs& sequences,
                                  bool causal) const = 0;
  // The gradients through these keys, given the output and log-sum-exp over all keys.
  virtual AttentionInput Backward(const AttentionInput& input, const AttentionOutput& merged,
                                  const at::Tensor& grad_out, const SequencePairs& sequences,
                                  bool causal) const = 0;
};

// For CUDA: FlashAttention-2 for bfloat16, memory-efficient attention for float32.
const VarlenKernel& CudaKernel(at::ScalarType dtype);

// As FamilyAttention and FamilyAttentionBackward.
AttentionOutput VarlenFamilyAttention(const VarlenKernel& kernel, const AttentionInput& input,
                                      const std::vector<FamilyLayout>& families);
AttentionInput VarlenFamilyAttentionBackward(const VarlenKernel& kernel,
                                             const AttentionInput& input,
                                             const AttentionOutput& output,
                                             const at::Tensor& grad_out,
                                             const std::vector<FamilyLayout>& families);

// Between the packed [T, H] and [S, H, length], +inf behind a sequence's end, as memory-efficient
// attention has log-sum-exps; offsets [S + 1].
at::Tensor PadSums(const at::Tensor& packed, const at::Tensor& offsets, int64_t length);
at::Tensor PackSums(const at::Tensor& padded, const at::Tensor& offsets, int64_t tokens);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_
