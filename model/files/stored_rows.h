// Weights that stay in their files until the caller has memory for them.
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

// Writes rows [first, first + out.size(0)) of a weight [rows, columns] into `out` [n, columns], of
// any device and floating type; a vector counts as a weight with one column. A row's bits do not
// depend on which other rows are asked for.
using RowSource = std::function<void(int64_t first, const at::Tensor& out)>;

RowSource RowsOfTensor(const at::Tensor& tensor);
// The tensor must have passed the reader's Check. Reads directly into `out`.
RowSource RowsOfFile(std::shared_ptr<const WeightReader> reader, const std::string& name);
RowSource RowsOfQuantized(const QuantizedMatrix& matrix, at::ScalarType dtype);
// Gives base + scale * lora_b lora_a, with `base` read as `base_dtype`, computed in the adapters'
// type.
RowSource MergedRows(RowSource base, at::ScalarType base_dtype, const at::Tensor& lora_a,
                     const at::Tensor& lora_b, double scale);
// Gives `base` for the first `base_rows` rows and `fill` [columns] for the rest, except that each
// Patch replaces the rows from `first` on with its `rows` [n, columns].
struct Patch {
  int64_t first = 0;
  at::Tensor rows;
};
RowSource ExtendedRows(RowSource base, int64_t base_rows, const at::Tensor& fill,
                       std::vector<Patch> patches);

// Copies elements [begin, begin + out.numel()) of the flattened weight, whose rows have `row_size`
// elements, into the flat `out`.
void CopyElements(const RowSource& source, int64_t row_size, int64_t begin, const at::Tensor& out);

// Returns a tensor without memory. It must not be read until it is given some.
at::Tensor Hollow(at::IntArrayRef shape, const at::TensorOptions& options);

}  // namespace flame

#endif  // FLAME_MODEL_FILES_STORED_ROWS_H_
