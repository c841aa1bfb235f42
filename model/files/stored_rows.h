// Weights that stay where they are stored until somebody has room for them.
#ifndef FLAME_MODEL_FILES_STORED_ROWS_H_
#define FLAME_MODEL_FILES_STORED_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/kernels/quantized.h"

namespace flame {

class WeightReader;

// Writes rows [first, first + out.size(0)) of a weight [rows, columns], a vector's with one column,
// into `out` [n, columns], of any device and floating type. A row's bits do not depend on what it
// is asked for with.
using RowSource = std::function<void(int64_t first, const at::Tensor& out)>;

RowSource RowsOfTensor(const at::Tensor& tensor);
// Of a tensor that has passed the reader's Check; straight into `out`.
RowSource RowsOfFile(std::shared_ptr<const WeightReader> reader, const std::string& name);
RowSource RowsOfQuantized(const QuantizedMatrix& matrix, at::ScalarType dtype);
// base + scale * lora_b lora_a, of `base` in `base_dtype`, computed in the adapters' type.
RowSource MergedRows(RowSource base, at::ScalarType base_dtype, const at::Tensor& lora_a,
                     const at::Tensor& lora_b, double scale);
// `base` for the first `base_rows` rows, `fill` [columns] for the others but where `rows` [n,
// columns] of a Patch, from row `first` on, replace them.
struct Patch {
  int64_t first = 0;
  at::Tensor rows;
};
RowSource ExtendedRows(RowSource base, int64_t base_rows, const at::Tensor& fill,
                       std::vector<Patch> patches);

// Elements [begin, begin + out.numel()) of the flattened weight, whose rows have `row_size`
// elements, into the flat `out`.
void CopyElements(const RowSource& source, int64_t row_size, int64_t begin, const at::Tensor& out);

// A tensor without memory, which must not be read until it was given some.
at::Tensor Hollow(at::IntArrayRef shape, const at::TensorOptions& options);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_STORED_ROWS_H_
