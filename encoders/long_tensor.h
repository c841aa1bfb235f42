#ifndef FLAME_ENCODERS_LONG_TENSOR_H_
#define FLAME_ENCODERS_LONG_TENSOR_H_

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace flame {

// Returns the values as an int64 tensor [size].
inline at::Tensor LongTensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

}  // namespace flame

#endif  // FLAME_ENCODERS_LONG_TENSOR_H_
