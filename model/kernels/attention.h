// Attention over packed families: a trunk on itself (causal), its branches on the trunk (full) and
// each branch on itself (causal), merged by their log-sum-exp. Nothing of size tokens x tokens is
// made. On the CPU float32, float64 and bfloat16; on a GPU float32 and bfloat16.
#ifndef FLAME_MODEL_KERNELS_ATTENTION_H_
#define FLAME_MODEL_KERNELS_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/family.h"
#include "model/kernels/attention_tensors.h"

namespace flame {

// The rows that attend: all T, or some of each segment.
struct AttentionLayout {
  const std::vector<FamilyLayout>& keys;  // on the packed axis
  // On the axis of the Q queries, segment by segment those of `keys`. A segment's queries are its
  // last tokens; a trunk's are all of them, the last one, or none.
  const std::vector<FamilyLayout>& queries;
};

// softmax(query key^T / sqrt(D)) value over the keys that a token may see.
AttentionOutput FamilyAttention(const AttentionInput& input, const AttentionLayout& layout);

// The gradients of query, key and value. Each part's flash backward is given the merged output and
// log-sum-exp, as in ring attention (Liu et al. 2023): the parts' gradients then simply add up.
AttentionInput FamilyAttentionBackward(const AttentionInput& input, const AttentionOutput& output,
                                       const at::Tensor& grad_out, const AttentionLayout& layout);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_ATTENTION_H_
