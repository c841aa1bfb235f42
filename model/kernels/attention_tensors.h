// Inputs and outputs of attention.
#ifndef FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_
#define FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_

#include <ATen/core/Tensor.h>

namespace flame {

// T packed tokens, of which Q attend; H query heads; Hkv key heads (H is a multiple of it); D
// numbers a head.
struct AttentionInput {
  at::Tensor query;       // [Q, H, D]
  at::Tensor key, value;  // [T, Hkv, D]
};

struct AttentionOutput {
  at::Tensor out;        // [Q, H, D]
  at::Tensor logsumexp;  // [Q, H]; float32 if `out` is bfloat16
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_ATTENTION_TENSORS_H_
