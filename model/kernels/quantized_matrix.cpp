#include "model/kernels/quantized_matrix.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/tensor.h>

namespace flame {

const std::array<float, 16> kNf4Levels = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

at::Tensor LevelTable(Quantization kind) {
  if (kind == Quantization::kNf4) {
    return at::tensor(at::ArrayRef<float>(kNf4Levels.data(), kNf4Levels.size()));
  }
  return at::arange(-127, 128, at::kFloat) / 127;
}

int64_t QuantizedBytes(Quantization kind, int64_t rows, int64_t columns) {
  constexpr int64_t kScale = sizeof(float);
  if (kind == Quantization::kInt8) return rows * (columns + kScale);
  return rows * ((columns + 1) / 2 + kScale * ((columns + kNf4Block - 1) / kNf4Block));
}

void QuantizedMatrix::MoveTo(at::Device device) {
  codes = codes.to(device);
  absmax = absmax.to(device);
  levels = device.is_cpu() ? at::Tensor() : LevelTable(kind).to(device);
}

int64_t QuantizedMatrix::NumBytes() const {
  return defined() ? static_cast<int64_t>(codes.nbytes() + absmax.nbytes()) : 0;
}

}  // namespace flame
