#include "model/kernels/quantized.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/kernels/portable_kernels.h"

namespace flame {

namespace {

constexpr int64_t kLargestInt8 = 127;
constexpr int64_t kElementsPerTask = 1 << 16;
constexpr size_t kSmallBytes = 1 << 20;

int64_t BlockSize(const QuantizedMatrix& matrix) {
  return matrix.kind == Quantization::kNf4 ? kNf4Block : std::max<int64_t>(1, matrix.columns);
}

float LargestMagnitude(const float* values, int64_t n) {
  float largest = 0;
  for (int64_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(values[i]));
  return largest;
}

// Returns what a block's values are divided by; a block of zeros has absmax 0.
float Divisor(float absmax) { return absmax > 0 ? absmax : 1; }

void EncodeInt8(const float* values, float absmax, int64_t n, int8_t* codes) {
  const float divisor = Divisor(absmax);
  for (int64_t i = 0; i < n; ++i) {
    codes[i] = static_cast<int8_t>(std::lrint(values[i] / divisor * kLargestInt8));
  }
}

// A value's code is the number of midpoints between levels that are below the value.
void EncodeNf4(const float* values, float absmax, int64_t n, uint8_t* codes) {
  std::array<float, kNf4Block> scaled = {};
  std::array<uint8_t, kNf4Block> nearest = {};
  const float divisor = Divisor(absmax);
  for (int64_t i = 0; i < n; ++i) scaled[i] = values[i] / divisor;
  for (size_t k = 0; k + 1 < kNf4Levels.size(); ++k) {
    const float middle = (kNf4Levels[k] + kNf4Levels[k + 1]) / 2;
    for (int64_t i = 0; i < kNf4Block; ++i) nearest[i] += scaled[i] > middle;
  }
  for (int64_t i = 0; i < n; i += 2) {
    codes[i / 2] = static_cast<uint8_t>(nearest[i] | nearest[i + 1] << 4);
  }
}

// Looks values up in a table: a block has few distinct ones, so each is multiplied out only once.
template <class T>
void DecodeInt8(const int8_t* codes, float absmax, int64_t n, T* values) {
  std::array<T, 2 * kLargestInt8 + 1> table;
  for (int64_t c = -kLargestInt8; c <= kLargestInt8; ++c) {
    table[c + kLargestInt8] = static_cast<T>(static_cast<float>(c) / kLargestInt8 * absmax);
  }
  for (int64_t i = 0; i < n; ++i) values[i] = table[codes[i] + kLargestInt8];
}

template <class T>
void DecodeNf4(const uint8_t* codes, float absmax, int64_t n, T* values) {
  std::array<T, 16> table;
  for (size_t k = 0; k < table.size(); ++k) table[k] = static_cast<T>(kNf4Levels[k] * absmax);
  for (int64_t i = 0; i + 1 < n; i += 2) {
    values[i] = table[codes[i / 2] & 15];
    values[i + 1] = table[codes[i / 2] >> 4];
  }
  if (n % 2 == 1) values[n - 1] = table[codes[n / 2] & 15];
}

// Allocates memory that returns to the system when the tensor dies. A heap keeps freed blocks below
// 32 MB. Aligned blocks that come and go between longer-lived ones make it keep several of them:
// more than a layer's quantised weights take.
at::Tensor EmptyOutsideHeap(int64_t rows, int64_t columns, at::ScalarType dtype) {
  const size_t bytes = static_cast<size_t>(rows * columns) * c10::elementSize(dtype);
  if (bytes < kSmallBytes) return at::empty({rows, columns}, dtype);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw MachineError("no memory for a matrix of ", bytes, " bytes: ", std::strerror(errno));
  }
  return at::from_blob(
      memory, {rows, columns}, [bytes](void* data) { munmap(data, bytes); },
      at::TensorOptions(dtype));
}

// Calls body(row, block of the row, first column, columns) for all blocks of rows [0, rows).
template <class Body>
void ForEachBlock(const QuantizedMatrix& matrix, int64_t rows, const Body& body) {
  const int64_t size = BlockSize(matrix);
  const int64_t grain =
      std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(1, matrix.columns));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t from = 0, block = 0; from < matrix.columns; from += size, ++block) {
        body(row, block, from, std::min(size, matrix.columns - from));
      }
    }
  });
}

}  // namespace

Quantization QuantizationOf(const std::string& name) {
  if (name == "none") return Quantization::kNone;
  if (name == "int8") return Quantization::kInt8;
  if (name == "nf4") return Quantization::kNf4;
  throw UsageError("quantisation is '", name, "'; expected none, int8 or nf4");
}

QuantizedMatrix EmptyQuantized(Quantization kind, int64_t rows, int64_t columns) {
  QuantizedMatrix matrix{kind, rows, columns, {}, {}, {}};
  const bool nf4 = kind == Quantization::kNf4;
  matrix.codes = at::empty({rows, nf4 ? (columns + 1) / 2 : columns}, nf4 ? at::kByte : at::kChar);
  const int64_t size = BlockSize(matrix);
  matrix.absmax = at::empty({rows, (columns + size - 1) / size}, at::kFloat);
  return matrix;
}

void QuantizeRows(const at::Tensor& values, int64_t first_row, QuantizedMatrix* matrix) {
  const at::Tensor wide = values.to(at::kCPU, at::kFloat).contiguous();
  if (wide.numel() > 0 && !std::isfinite(wide.abs().max().item<float>())) {
    throw DataError("a weight to be quantised is not finite");
  }
  const auto* in = wide.const_data_ptr<float>();
  const int64_t columns = matrix->columns, blocks = matrix->absmax.size(1);
  auto* absmax = matrix->absmax.mutable_data_ptr<float>();
  auto* codes = static_cast<uint8_t*>(matrix->codes.mutable_data_ptr());
  const int64_t width = matrix->codes.size(1);
  ForEachBlock(*matrix, wide.size(0), [&](int64_t row, int64_t block, int64_t from, int64_t n) {
    const float* source = in + row * columns + from;
    const int64_t target = first_row + row;
    const float largest = LargestMagnitude(source, n);
    absmax[target * blocks + block] = largest;
    if (matrix->kind == Quantization::kNf4) {
      EncodeNf4(source, largest, n, codes + target * width + from / 2);
    } else {
      EncodeInt8(source, largest, n, reinterpret_cast<int8_t*>(codes + target * width + from));
    }
  });
}

QuantizedMatrix Quantize(const at::Tensor& values, Quantization kind) {
  QuantizedMatrix matrix = EmptyQuantized(kind, values.size(0), values.size(1));
  QuantizeRows(values, 0, &matrix);
  matrix.MoveTo(values.device());
  return matrix;
}

at::Tensor Dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype) {
  if (!matrix.codes.is_cpu()) return portable::Dequantize(matrix, dtype);
  at::Tensor values = EmptyOutsideHeap(matrix.rows, matrix.columns, dtype);
  const auto* absmax = matrix.absmax.const_data_ptr<float>();
  const auto* codes = static_cast<const uint8_t*>(matrix.codes.const_data_ptr());
  const int64_t width = matrix.codes.size(1), blocks = matrix.absmax.size(1);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, dtype, "Dequantize", [&] {
    auto* out = values.mutable_data_ptr<scalar_t>();
    ForEachBlock(matrix, matrix.rows, [&](int64_t row, int64_t block, int64_t from, int64_t n) {
      const float largest = absmax[row * blocks + block];
      scalar_t* target = out + row * matrix.columns + from;
      const uint8_t* source = codes + row * width;
      if (matrix.kind == Quantization::kNf4) {
        DecodeNf4(source + from / 2, largest, n, target);
      } else {
        DecodeInt8(reinterpret_cast<const int8_t*>(source + from), largest, n, target);
      }
    });
  });
  return values;
}

}  // namespace flame
