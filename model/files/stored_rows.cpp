#include "model/files/stored_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <utility>

#include "model/files/weights.h"

namespace flame {
namespace {

// Products are always computed for whole blocks of this many rows, from a multiple of it on, so
// that their bits do not depend on which rows are asked for.
constexpr int64_t kBlockRows = 256;

// Copies the part of `rows`, which begins at row `from`, that lies within `out`, which begins at
// `first`.
void CopyOverlap(const at::Tensor& rows, int64_t from, int64_t first, const at::Tensor& out) {
  const int64_t begin = std::max(from, first);
  const int64_t end = std::min(from + rows.size(0), first + out.size(0));
  if (begin >= end) return;
  out.narrow(0, begin - first, end - begin).copy_(rows.narrow(0, begin - from, end - begin));
}

}  // namespace

RowSource RowsOfTensor(const at::Tensor& tensor) {
  return [tensor = tensor.detach()](int64_t first, const at::Tensor& out) {
    out.copy_(tensor.narrow(0, first, out.size(0)).reshape(out.sizes()));
  };
}

RowSource RowsOfFile(std::shared_ptr<const WeightReader> reader, const std::string& name) {
  return [reader = std::move(reader), name](int64_t first, const at::Tensor& out) {
    reader->ReadInto(name, first, out);
  };
}

RowSource RowsOfQuantized(const QuantizedMatrix& matrix, at::ScalarType dtype) {
  return [matrix, dtype](int64_t first, const at::Tensor& out) {
    QuantizedMatrix part = matrix;
    part.rows = out.size(0);
    part.codes = matrix.codes.narrow(0, first, part.rows);
    part.absmax = matrix.absmax.narrow(0, first, part.rows);
    out.copy_(Dequantize(part, dtype));
  };
}

RowSource MergedRows(RowSource base, at::ScalarType base_dtype, const at::Tensor& lora_a,
                     const at::Tensor& lora_b, double scale) {
  return [base = std::move(base), base_dtype, a = lora_a.detach(), b = lora_b.detach(), scale](
             int64_t first, const at::Tensor& out) {
    const at::NoGradGuard no_grad;
    for (int64_t at = first / kBlockRows * kBlockRows; at < first + out.size(0); at += kBlockRows) {
      const int64_t rows = std::min(kBlockRows, b.size(0) - at);
      const at::Tensor block = at::empty({rows, a.size(1)}, b.options().dtype(base_dtype));
      base(at, block);
      const at::Tensor wide = block.to(b.scalar_type());
      CopyOverlap(at::addmm(wide, b.narrow(0, at, rows), a, 1, scale), at, first, out);
    }
  };
}

RowSource ExtendedRows(RowSource base, int64_t base_rows, const at::Tensor& fill,
                       std::vector<Patch> patches) {
  return [base = std::move(base), base_rows, fill, patches = std::move(patches)](
             int64_t first, const at::Tensor& out) {
    const at::NoGradGuard no_grad;
    out.copy_(fill.unsqueeze(0).expand(out.sizes()));
    const int64_t known = std::min(base_rows - first, out.size(0));
    if (known > 0) base(first, out.narrow(0, 0, known));
    for (const Patch& patch : patches) CopyOverlap(patch.rows, patch.first, first, out);
  };
}

void CopyElements(const RowSource& source, int64_t row_size, int64_t begin, const at::Tensor& out) {
  const at::NoGradGuard no_grad;
  const int64_t size = out.numel();
  for (int64_t done = 0; done < size;) {
    const int64_t row = (begin + done) / row_size, skip = (begin + done) % row_size;
    const int64_t whole = skip == 0 ? (size - done) / row_size : 0;
    if (whole > 0) {
      source(row, out.narrow(0, done, whole * row_size).view({whole, row_size}));
      done += whole * row_size;
      continue;
    }
    const at::Tensor cut = at::empty({1, row_size}, out.options());
    source(row, cut);
    const int64_t count = std::min(row_size - skip, size - done);
    out.narrow(0, done, count).copy_(cut[0].narrow(0, skip, count));
    done += count;
  }
}

at::Tensor Hollow(at::IntArrayRef shape, const at::TensorOptions& options) {
  return at::from_blob(
      nullptr, shape, [](void*) {}, options, options.device());
}

}  // namespace flame
