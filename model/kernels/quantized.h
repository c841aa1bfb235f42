// Quantises and dequantises matrices (model/kernels/quantized_matrix.h).
#ifndef FLAME_MODEL_KERNELS_QUANTIZED_H_
#define FLAME_MODEL_KERNELS_QUANTIZED_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model/kernels/quantized_matrix.h"

namespace flame {

// Parses "none", "int8" or "nf4". Throws UsageError on any other name.
Quantization QuantizationOf(const std::string& name);

// Allocates a matrix for QuantizeRows to fill; `kind` must not be kNone.
QuantizedMatrix EmptyQuantized(Quantization kind, int64_t rows, int64_t columns);

// Quantises values [n, columns] of any floating type, each to its nearest level, into the matrix's
// rows from first_row on. The matrix must be on the CPU. Throws DataError if a value is not finite.
void QuantizeRows(const at::Tensor& values, int64_t first_row, QuantizedMatrix* matrix);

// Quantises a whole matrix; the result is on the device of `values`.
QuantizedMatrix Quantize(const at::Tensor& values, Quantization kind);

// Returns [rows, columns] in float32, float64 or bfloat16 on the matrix's device; products are
// rounded to float32 first. The bits are the same on every device.
at::Tensor Dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_QUANTIZED_H_
