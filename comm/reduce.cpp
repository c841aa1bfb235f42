#include "comm/reduce.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace flame {
namespace {

constexpr int64_t kBlock = 1024;  // elements; a block stays in the first-level cache

template <class T>
struct Sum {
  T operator()(T a, T b) const { return static_cast<T>(a + b); }
};
// Only NaN differs from itself; whole numbers never do.
template <class T>
bool IsNan(T a) {
  return a != a;  // NOLINT(misc-redundant-expression)
}
template <class T>
struct Max {
  T operator()(T a, T b) const { return a >= b || IsNan(a) ? a : b; }
};
template <class T>
struct Min {
  T operator()(T a, T b) const { return a <= b || IsNan(a) ? a : b; }
};

// T is the type in memory, W the type of the running total.
template <class T, class W, class Op>
void Reduce(const std::vector<const void*>& parts, int64_t num_elements, T* out, Op op) {
  alignas(64) std::array<W, kBlock> total;
  for (int64_t start = 0; start < num_elements; start += kBlock) {
    const int64_t count = std::min(kBlock, num_elements - start);
    const T* first = static_cast<const T*>(parts[0]) + start;
    for (int64_t i = 0; i < count; ++i) total[i] = static_cast<W>(first[i]);
    for (size_t part = 1; part < parts.size(); ++part) {
      const T* from = static_cast<const T*>(parts[part]) + start;
      for (int64_t i = 0; i < count; ++i) total[i] = op(total[i], static_cast<W>(from[i]));
    }
    for (int64_t i = 0; i < count; ++i) out[start + i] = static_cast<T>(total[i]);
  }
}

template <class T, class W = T>
void ReduceAs(ReduceOp op, const std::vector<const void*>& parts, int64_t num_elements, void* out) {
  T* to = static_cast<T*>(out);
  if (op == ReduceOp::kSum) return Reduce<T, W>(parts, num_elements, to, Sum<W>());
  if (op == ReduceOp::kMax) return Reduce<T, W>(parts, num_elements, to, Max<W>());
  Reduce<T, W>(parts, num_elements, to, Min<W>());
}

}  // namespace

void ReduceInOrder(at::ScalarType dtype, ReduceOp op, const std::vector<const void*>& parts,
                   int64_t num_elements, void* out) {
  switch (dtype) {
    case at::kFloat:
      return ReduceAs<float>(op, parts, num_elements, out);
    case at::kDouble:
      return ReduceAs<double>(op, parts, num_elements, out);
    case at::kBFloat16:
      return ReduceAs<c10::BFloat16, float>(op, parts, num_elements, out);
    case at::kInt:
      return ReduceAs<int32_t>(op, parts, num_elements, out);
    case at::kLong:
      return ReduceAs<int64_t>(op, parts, num_elements, out);
    case at::kByte:
      return ReduceAs<uint8_t>(op, parts, num_elements, out);
    default:
      throw MachineError(
          "a reduction takes float32, float64, bfloat16, int32, int64 or uint8, not ",
          at::toString(dtype));
  }
}

}  // namespace flame
