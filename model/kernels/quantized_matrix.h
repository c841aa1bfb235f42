// Frozen weight matrices in 8 or 4 bits. A number is level * absmax: absmax is the largest
// magnitude in the number's block, and level is an entry of a fixed table in [-1, 1]. The table
// contains -1 and 1 exactly. Quantising the output of Dequantize therefore changes no bit, in any
// of a policy's types.
#ifndef FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_
#define FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace flame {

// kInt8: levels -127 / 127 to 127 / 127; a block is a row (one output of the map). kNf4: the 16
// levels of kNf4Levels; a block is 64 columns of a row: 4.5 bits a weight (Dettmers et al. 2023,
// QLoRA, without its second quantisation of absmax).
enum class Quantization { kNone, kInt8, kNf4 };
// Quantiles of a normal distribution including 0, scaled to [-1, 1], ascending.
extern const std::array<float, 16> kNf4Levels;
inline constexpr int64_t kNf4Block = 64;  // a row's last block may be shorter

// Returns each code's level, indexed by the code's unsigned bits (int8: code + 127): float32 [16]
// or [255] on the CPU.
at::Tensor LevelTable(Quantization kind);

// Returns the bytes of a quantised matrix: codes and absmax.
int64_t QuantizedBytes(Quantization kind, int64_t rows, int64_t columns);

struct QuantizedMatrix {
  Quantization kind = Quantization::kNone;
  int64_t rows = 0, columns = 0;
  // int8: int8 [rows, columns]. nf4: uint8 [rows, ceil(columns / 2)], even columns in the low half
  // of their byte.
  at::Tensor codes;
  at::Tensor absmax;  // float32 [rows, blocks]
  at::Tensor levels;  // float32 [16] or [255]: LevelTable(kind), if not on the CPU

  void MoveTo(at::Device device);
  bool defined() const { return codes.defined(); }
  int64_t NumBytes() const;
};

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_QUANTIZED_MATRIX_H_
