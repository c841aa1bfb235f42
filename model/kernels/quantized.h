// Quantising matrices and back (model/kernels/quantized_matrix.h).
#ifndef FLAME_MODEL_KERNELS_QUANTIZED_H_
#define FLAME_MODEL_KERNELS_QUANTIZED_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model/kernels/quantized_matrix.h"

namespace flame {

// Reads "none", "int8" or "nf4". Throws UsageError on another name.
Quantization QuantizationOf(const std::string& name);

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
