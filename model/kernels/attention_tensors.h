// What attention takes and gives.
#ifndef FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_
#define FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_

#include <ATen/core/Tensor.h>

namespace flame {

// T packed tokens, H query heads, Hkv key heads (H a multiple of it), D numbers a head.
struct AttentionInput {
  at::Tensor query;       // [Q, H, D]
  at::Tensor key, value;  // [T, Hkv, D]
};

struct AttentionOutput {
  at::Tensor out;        // [Q, H, D]
  at::Tensor logsumexp;  // [Q, H], float32 where the rest is bfloat16
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_
