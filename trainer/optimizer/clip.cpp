#include "trainer/optimizer/clip.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace flame {

at::Tensor SumOfSquares(const NamedTensors& tensors) {
  const c10::NoGradGuard no_grad;
  at::Tensor squares =
      at::zeros({1}, tensors.begin()->second.options().dtype(at::kDouble).requires_grad(false));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor wide = tensor.to(at::kDouble).flatten();
    squares.add_(wide.dot(wide));
  }
  return squares;
}

double ClipScale(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace flame
