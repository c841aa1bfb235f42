// Frozen weight matrices in 8 or 4 bits. A number is level * absmax, where absmax is the largest
// magnitude of the block that it lies in and level one of a fixed table in [-1, 1] that holds both
// ends (or one) exactly: quantising what Dequantize gave changes no bit, in any of a policy's
// types.
#ifndef FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_
#define FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace flame {

// kInt8: levels -127 / 127 to 127 / 127, a block is a row (an output of the map).
// kNf4: the 16 levels of kNf4Levels, blocks of 64 columns of a row (Dettmers et al. 2023, QLoRA,
// without its second quantisation of absmax): 4.5 bits a weight.
enum class Quantization { kNone, kInt8, kNf4 };
// Quantiles of a normal distribution, 0 among them, scaled to [-1, 1]; ascending.
extern const std::array<float, 16> kNf4Levels;
inline constexpr int64_t kNf4Block = 64;  // the last of a row may be shorter

// What each code stands for, by the unsigned number of its bits (int8: the code + 127): float32
// [16] or [255] on the CPU.
at::Tensor LevelsOf(Quantization kind);

struct QuantizedMatrix {
  Quantization kind = Quantization::kNone;
  int64_t rows = 0, columns = 0;
  // int8: int8 [rows, columns]. nf4: uint8 [rows, ceil(columns / 2)], an even column in the low
  // half of its byte.
  at::Tensor codes;
  at::Tensor absmax;  // float32 [rows, blocks]
  at::Tensor levels;  // of codes on other devices than the CPU: float32 [16] or [255]

  void MoveTo(at::Device device);
  bool defined() const { return codes.defined(); }
  int64_t NumBytes() const;
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_
