// Weights that stay where they are stored until somebody has room for them.
#ifndef FLAME_MODEL_STORED_ROWS_H_
#define FLAME_MODEL_STORED_ROWS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/quantized.h"

namespace flame {

class WeightReader;

// Gives rows [first, first + count) of a weight [rows, ...], on any device; they may share storage
// with it. A row's bits do not depend on what it is asked for with.
using RowSource = std::function<at::Tensor(int64_t first, int64_t count)>;

RowSource RowsOfTensor(const at::Tensor& tensor);
// Of a tensor that has passed the reader's Check.
RowSource RowsOfFile(std::shared_ptr<const WeightReader> reader, const std::string& name,
                     at::ScalarType dtype);
RowSource RowsOfQuantized(const QuantizedMatrix& matrix, at::ScalarType dtype);
// base + scale * lora_b lora_a, computed in the adapters' type and rounded to `dtype`.
RowSource MergedRows(RowSource base, const at::Tensor& lora_a, const at::Tensor& lora_b,
                     double scale, at::ScalarType dtype);
// `base` for the first `base_rows` rows, `fill` [columns] for the others but where `rows` [n,
// columns] of a Patch, from row `first` on, replace them.
struct Patch {
  int64_t first = 0;
  at::Tensor rows;
};
RowSource ExtendedRows(RowSource base, int64_t base_rows, const at::Tensor& fill,
                       std::vector<Patch> patches);

// Elements [begin, begin + out.numel()) of the flattened weight, whose rows have `row_size`
// elements, into the flat `out`; a few MB at a time.
void CopyElements(const RowSource& source, int64_t row_size, int64_t begin, const at::Tensor& out);

// A tensor without memory, which must not be read until it was given some.
at::Tensor Hollow(at::IntArrayRef shape, const at::TensorOptions& options);

}  // namespace flame

#endif  // FLAME_MODEL_STORED_ROWS_H_
