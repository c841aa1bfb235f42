// Clipping by the global norm, as torch's clip_grad_norm_.
#ifndef FLAME_TRAINER_OPTIMIZER_CLIP_H_
#define FLAME_TRAINER_OPTIMIZER_CLIP_H_

#include <ATen/core/Tensor.h>

#include "trainer/optimizer/adamw.h"

namespace flame {

// Sum of squares of all elements, float64 [1] on their device.
at::Tensor SumOfSquares(const NamedTensors& tensors);
// What gradients of this norm are multiplied by: at most 1; max_norm 0: 1.
double ClipScale(double norm, double max_norm);

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_CLIP_H_
