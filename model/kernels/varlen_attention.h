// Attention over packed families for devices whose kernels take many sequences of different lengths
// in one call. In one call every trunk and branch attends to itself, in a second one all branches
// attend to their trunks; the results are merged by their log-sum-exp.
#ifndef FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_
#define FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "model/kernels/attention_tensors.h"

namespace flame {

// S pairs of a query sequence and a key sequence; each side is packed without gaps. Worked example,
// a trunk of 5 tokens with branches of 2 and 3: the sequences on themselves have offsets {0, 5, 7,
// 10} on both sides; the branches on their trunk have {0, 5} and {0, 5}.
struct SequencePairs {
  at::Tensor query_offsets, key_offsets;  // int32 [S + 1], on the tensors' device
  int64_t longest_query = 0, longest_key = 0;
};

// A kernel over such pairs. `causal` is only used if both sides have the same lengths.
class VarlenKernel {
 public:
  virtual ~VarlenKernel() = default;
  virtual AttentionOutput Forward(const AttentionInput& input, const SequencePairs& sequences,
                                  bool causal) const = 0;
  // Returns the gradients through these keys, given the output and log-sum-exp over all keys.
  virtual AttentionInput Backward(const AttentionInput& input, const AttentionOutput& merged,
                                  const at::Tensor& grad_out, const SequencePairs& sequences,
                                  bool causal) const = 0;
};

// Returns the CUDA kernel: FlashAttention-2 for bfloat16, memory-efficient attention for float32.
// Throws UsageError on any other dtype.
const VarlenKernel& CudaKernel(at::ScalarType dtype);

// Like FamilyAttention and FamilyAttentionBackward, with every token a query.
AttentionOutput VarlenFamilyAttention(const VarlenKernel& kernel, const AttentionInput& input,
                                      const std::vector<FamilyLayout>& families);
AttentionInput VarlenFamilyAttentionBackward(const VarlenKernel& kernel,
                                             const AttentionInput& input,
                                             const AttentionOutput& output,
                                             const at::Tensor& grad_out,
                                             const std::vector<FamilyLayout>& families);

// Convert between packed log-sum-exps [T, H] and the [S, H, length] of memory-efficient attention,
// with +inf after a sequence's end; offsets are [S + 1].
at::Tensor PadSums(const at::Tensor& packed, const at::Tensor& offsets, int64_t length);
at::Tensor PackSums(const at::Tensor& padded, const at::Tensor& offsets, int64_t tokens);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_VARLEN_ATTENTION_H_
