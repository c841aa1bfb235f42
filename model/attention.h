// Attention over packed families: a trunk on itself (causal), its branches on the trunk (full) and
// each branch on itself (causal), merged by their log-sum-exp. Nothing of size tokens x tokens is
// made. On the CPU float32, float64 and bfloat16; on a GPU float32 and bfloat16.
#ifndef FLAME_MODEL_ATTENTION_H_
#define FLAME_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/family.h"

namespace flame {

// T packed tokens, H query heads, Hkv key heads (H a multiple of it), D numbers a head.
struct AttentionInput {
  at::Tensor query;       // [T, H, D]
  at::Tensor key, value;  // [T, Hkv, D]
};

struct AttentionOutput {
  at::Tensor out;        // [T, H, D]
  at::Tensor logsumexp;  // [T, H], float32 where the rest is bfloat16
};

// softmax(query key^T / sqrt(D)) value over the keys that a token may see.
AttentionOutput FamilyAttention(const AttentionInput& input,
                                const std::vector<FamilyLayout>& families);

// The gradients of query, key and value. Each part's flash backward is given the merged output and
// log-sum-exp, as in ring attention (Liu et al. 2023): the parts' gradients then simply add up.
AttentionInput FamilyAttentionBackward(const AttentionInput& input, const AttentionOutput& output,
                                       const at::Tensor& grad_out,
                                       const std::vector<FamilyLayout>& families);

}  // namespace flame

#endif  // FLAME_MODEL_ATTENTION_H_
