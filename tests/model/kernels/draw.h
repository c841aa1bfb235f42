// Random inputs for the tests of attention kernels.
#ifndef FLAME_TESTS_MODEL_KERNELS_DRAW_H_
#define FLAME_TESTS_MODEL_KERNELS_DRAW_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace flame {

// Returns normal values of standard deviation 2, drawn in float64 and rounded to `dtype`.
inline at::Tensor Draw(const std::vector<int64_t>& shape, at::ScalarType dtype,
                       RandomStream* random) {
  const at::Tensor x = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < x.numel(); ++i) x.mutable_data_ptr<double>()[i] = 2 * random->Normal();
  return x.to(dtype);
}

}  // namespace flame

#endif  // FLAME_TESTS_MODEL_KERNELS_DRAW_H_
