#include "encoders/dropout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/GradMode.h>

#include "model/kernels/kernels.h"

namespace flame {
namespace {

at::Tensor MaskLike(const at::Tensor& x, double p, uint64_t seed, uint32_t mask,
                    const at::Tensor& rows) {
  const c10::NoGradGuard no_grad;
  return Dropout(at::ones_like(x), p, seed, mask, rows);
}

}  // namespace

at::Tensor DropOut(const at::Tensor& x, double p, uint64_t seed, uint32_t mask,
                   const at::Tensor& rows) {
  if (p == 0) return x;
  return x * MaskLike(x, p, seed, mask, rows);
}

}  // namespace flame
