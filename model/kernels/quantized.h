// Frozen weight matrices in 8 or 4 bits. A number is level * absmax, where absmax is the largest
// magnitude of the block that it lies in and level one of a fixed table in [-1, 1] that holds both
// ends (or one) exactly: quantising what Dequantize gave changes no bit, in any of a policy's
// types.
#ifndef FLAME_MODEL_KERNELS_QUANTIZED_H_
#define FLAME_MODEL_KERNELS_QUANTIZED_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>

namespace flame {

// kInt8: levels -127 / 127 to 127 / 127, a block is a row (an output of the map).
// kNf4: the 16 levels of kNf4Levels, blocks of 64 columns of a row (Dettmers et al. 2023, QLoRA,
// without its second quantisation of absmax): 4.5 bits a weight.
enum class Quantization { kNone, kInt8, kNf4 };
// Of "none", "int8", "nf4". Throws UsageError.
Quantization QuantizationOf(const std::string& name);

// Quantiles of a normal distribution, 0 among them, scaled to [-1, 1]; ascending.
extern const std::array<float, 16> kNf4Levels;
inline constexpr int64_t kNf4Block = 64;  // the last of a row may be shorter

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

// Room for a matrix, to be filled by QuantizeRows; `kind` is not kNone.
QuantizedMatrix EmptyQuantized(Quantization kind, int64_t rows, int64_t columns);

// Stores values [n, columns], of any floating type, as rows first_row.. of the matrix, each at its
// nearest level. On the CPU. Throws DataError where one is not finite.
void QuantizeRows(const at::Tensor& values, int64_t first_row, QuantizedMatrix* matrix);

// On the device of `values`.
QuantizedMatrix Quantize(const at::Tensor& values, Quantization kind);

// [rows, columns] in float32, float64 or bfloat16, on the matrix' device; products are rounded to
// float32 first. The same bits on every device.
at::Tensor Dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_QUANTIZED_H_
