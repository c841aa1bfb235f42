#include "model/stored_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <utility>

#include "model/weights.h"

namespace flame {
namespace {

// Products are computed of these many rows from a multiple of it on, so that their bits do not
// depend on which rows are asked for.
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockBytes = 1 << 21;

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Copies the rows [from, from + rows.size(0)) of `rows` that lie in [first, first + out.size(0)).
void CopyOverlap(const at::Tensor& rows, int64_t from, int64_t first, const at::Tensor& out) {
  const int64_t begin = std::max(from, first);
  const int64_t end = std::min(from + rows.size(0), first + out.size(0));
  if (begin >= end) return;
  out.narrow(0, begin - first, end - begin).copy_(rows.narrow(0, begin - from, end - begin));
}

}  // namespace

RowSource RowsOfTensor(const at::Tensor& tensor) {
  return [tensor = tensor.detach()](int64_t first, int64_t count) {
    return tensor.narrow(0, first, count);
  };
}

RowSource RowsOfFile(std::shared_ptr<const WeightReader> reader, const std::string& name,
                     at::ScalarType dtype) {
  return [reader = std::move(reader), name, dtype](int64_t first, int64_t count) {
    return reader->Read(name, dtype, first, count);
  };
}

RowSource RowsOfQuantized(const QuantizedMatrix& matrix, at::ScalarType dtype) {
  return [matrix, dtype](int64_t first, int64_t count) {
    QuantizedMatrix part = matrix;
    part.rows = count;
    part.codes = matrix.codes.narrow(0, first, count);
    part.absmax = matrix.absmax.narrow(0, first, count);
    return Dequantize(part, dtype);
  };
}

RowSource MergedRows(RowSource base, const at::Tensor& lora_a, const at::Tensor& lora_b,
                     double scale, at::ScalarType dtype) {
  return [base = std::move(base), a = lora_a.detach(), b = lora_b.detach(), scale, dtype](
             int64_t first, int64_t count) {
    const at::NoGradGuard no_grad;
    const int64_t from = first / kBlockRows * kBlockRows;
    std::vector<at::Tensor> blocks;
    for (int64_t at = from; at < first + count; at += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, b.size(0) - at);
      const at::Tensor weight = base(at, rows).to(b.options());
      blocks.push_back(at::addmm(weight, b.narrow(0, at, rows), a, 1, scale).to(dtype));
    }
    return at::cat(blocks).narrow(0, first - from, count);
  };
}

RowSource ExtendedRows(RowSource base, int64_t base_rows, const at::Tensor& fill,
                       std::vector<Patch> patches) {
  return [base = std::move(base), base_rows, fill, patches = std::move(patches)](int64_t first,
                                                                                 int64_t count) {
    const at::NoGradGuard no_grad;
    at::Tensor rows = fill.unsqueeze(0).repeat({count, 1});
    const int64_t known = std::min(base_rows - first, count);
    if (known > 0) rows.narrow(0, 0, known).copy_(base(first, known));
    for (const Patch& patch : patches) CopyOverlap(patch.rows, patch.first, first, rows);
    return rows;
  };
}

void CopyElements(const RowSource& source, int64_t row_size, int64_t begin, const at::Tensor& out) {
  const at::NoGradGuard no_grad;
  const int64_t end = begin + out.numel();
  const int64_t row_bytes = row_size * static_cast<int64_t>(out.element_size());
  const int64_t step = RoundUp(std::max<int64_t>(1, kBlockBytes / row_bytes), kBlockRows);
  const int64_t last = (end + row_size - 1) / row_size;
  for (int64_t first = begin / row_size; first < last;) {
    const int64_t next = std::min(last, first / step * step + step);
    const at::Tensor flat = source(first, next - first).reshape({-1});
    CopyOverlap(flat, first * row_size, begin, out);
    first = next;
  }
}

at::Tensor Hollow(at::IntArrayRef shape, const at::TensorOptions& options) {
  return at::from_blob(
      nullptr, shape, [](void*) {}, options, options.device());
}

}  // namespace flame
