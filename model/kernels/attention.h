// Attention over packed families: a trunk on itself (causal), its branches on the trunk (full) and
// each branch on itself (causal), merged by their log-sum-exp. Allocates nothing of size tokens x
// tokens. Takes float32, float64 and bfloat16 on the CPU, float32 and bfloat16 on a GPU.
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
  // The Q queries on an axis of their own, segment by segment as in `keys`. A branch's queries are
  // its last tokens; a trunk's are all of its tokens, its last one, or none.
  const std::vector<FamilyLayout>& queries;
};

// Returns softmax(query key^T / sqrt(D)) value over the keys that each token may see.
AttentionOutput FamilyAttention(const AttentionInput& input, const AttentionLayout& layout);

// Returns the gradients of query, key and value. Each part's flash backward gets the merged output
// and log-sum-exp, as in ring attention (Liu et al. 2023), so that the parts' gradients add up.
AttentionInput FamilyAttentionBackward(const AttentionInput& input, const AttentionOutput& output,
                                       const at::Tensor& grad_out, const AttentionLayout& layout);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_ATTENTION_H_
