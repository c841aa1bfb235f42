// Clipping by the global norm, as torch's clip_grad_norm_ does it.
#ifndef FLAME_TRAINER_OPTIMIZER_CLIP_H_
#define FLAME_TRAINER_OPTIMIZER_CLIP_H_

#include <ATen/core/Tensor.h>

#include "model/named_tensors.h"

namespace flame {

// Returns the sum of squares of all elements, float64 [1] on their device.
at::Tensor SumOfSquares(const NamedTensors& tensors);
// Returns the factor, at most 1, for gradients of this norm; always 1 if max_norm is 0.
double ClipScale(double norm, double max_norm);

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_CLIP_H_
