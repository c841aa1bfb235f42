#include "trainer/optimizer/clip.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace flame {
namespace {

constexpr int64_t kAtOnce = 1 << 16;

}  // namespace

at::Tensor SumOfSquares(const NamedTensors& tensors) {
  const c10::NoGradGuard no_grad;
  at::Tensor squares =
      at::zeros({1}, tensors.begin()->second.options().dtype(at::kDouble).requires_grad(false));
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor flat = tensor.flatten();
    // A float64 copy of all would take new memory at every step. A GPU keeps it, and prefers few
    // operations.
    const int64_t most = tensor.device().is_cpu() ? kAtOnce : std::max<int64_t>(flat.numel(), 1);
    for (int64_t begin = 0; begin < flat.numel(); begin += most) {
      const at::Tensor wide =
          flat.narrow(0, begin, std::min(most, flat.numel() - begin)).to(at::kDouble);
      squares.add_(wide.dot(wide));
    }
  }
  return squares;
}

double ClipScale(double norm, double max_norm) {
  return max_norm > 0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace flame
