#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "model/kernels/decode_attention.h"
#include "model/kernels/simd.h"

namespace flame {
namespace {

// 64 bytes of numbers, at any address.
template <class C>
struct Vector {
  typedef C Type __attribute__((vector_size(64), aligned(sizeof(C)), may_alias));
  static constexpr int64_t kSize = 64 / sizeof(C);
};

// Computes c += a b for kRows rows of a and kVectors vectors of columns; keeps the sums in
// registers.
template <class C, int kRows, int kVectors>
FLAME_INLINE void AddTile(const C* a, int64_t a_row, const C* b, int64_t b_row, int64_t depth, C* c,
                          int64_t c_row) {
  using Lanes = typename Vector<C>::Type;
  constexpr int64_t kSize = Vector<C>::kSize;
  Lanes sum[kRows][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = *reinterpret_cast<const Lanes*>(c + r * c_row + v * kSize);
    }
  }
  for (int64_t k = 0; k < depth; ++k, b += b_row) {
    Lanes columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      columns[v] = *reinterpret_cast<const Lanes*>(b + v * kSize);
    }
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      const C x = a[r * a_row + k];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] += x * columns[v];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      *reinterpret_cast<Lanes*>(c + r * c_row + v * kSize) = sum[r][v];
    }
  }
}

template <class C, int kVectors>
FLAME_INLINE void AddColumns(const C* a, int64_t a_row, int64_t rows, const C* b, int64_t b_row,
                             int64_t depth, C* c, int64_t c_row) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    AddTile<C, 4, kVectors>(a + r * a_row, a_row, b, b_row, depth, c + r * c_row, c_row);
  }
  for (; r < rows; ++r) {
    AddTile<C, 1, kVectors>(a + r * a_row, a_row, b, b_row, depth, c + r * c_row, c_row);
  }
}

// Computes c [rows, columns] += a [rows, depth] b [depth, columns]; columns: whole vectors.
template <class C>
FLAME_INLINE void AddProduct(const C* a, int64_t a_row, int64_t rows, const C* b, int64_t b_row,
                             int64_t depth, C* c, int64_t c_row, int64_t columns) {
  constexpr int64_t kSize = Vector<C>::kSize;
  int64_t from = 0;
  for (; from + 4 * kSize <= columns; from += 4 * kSize) {
    AddColumns<C, 4>(a, a_row, rows, b + from, b_row, depth, c + from, c_row);
  }
  for (; from < columns; from += kSize) {
    AddColumns<C, 1>(a, a_row, rows, b + from, b_row, depth, c + from, c_row);
  }
}

// The keys and values of one head of one sequence.
template <class T>
struct Sequence {
  T* keys;    // [blocks, D, kKeyBlock]
  T* values;  // [blocks * kKeyBlock, padded]
  int64_t size;
};

// The running softmaxes of queries over the keys seen so far.
template <class C>
struct Running {
  int64_t d, padded;
  const C* query;    // [rows, D], scaled
  C *largest, *sum;  // [rows]
  C* out;            // [rows, padded], not yet divided by sum
  C* weights;        // [rows, kKeyBlock]
  C *keys, *values;  // one converted block each, if the cache is not of type C

  Running From(int64_t row) const {
    Running rest = *this;
    rest.query += row * d, rest.largest += row, rest.sum += row, rest.out += row * padded;
    return rest;
  }
};

template <class T, class C>
FLAME_INLINE const C* Converted(const T* from, int64_t n, C* to) {
  if constexpr (std::is_same_v<T, C>) {
    return from;
  } else {
#pragma omp simd
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<C>(from[i]);
    return to;
  }
}

// Turns scores [rows, kKeyBlock] into weights relative to the largest score so far.
template <class C>
FLAME_INLINE void Reweigh(const Running<C>& running, int64_t rows, int64_t count) {
  for (int64_t r = 0; r < rows; ++r) {
    C* weights = running.weights + r * kKeyBlock;
    C largest = running.largest[r], sum = 0;
#pragma omp simd reduction(max : largest)
    for (int64_t j = 0; j < count; ++j) largest = weights[j] > largest ? weights[j] : largest;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < count; ++j) sum += weights[j] = ExpOfMinus(largest - weights[j]);
    const C before = ExpOfMinus(largest - running.largest[r]);
    running.largest[r] = largest;
    running.sum[r] = running.sum[r] * before + sum;
    C* out = running.out + r * running.padded;
#pragma omp simd
    for (int64_t i = 0; i < running.padded; ++i) out[i] *= before;
  }
}

template <class T, class C>
FLAME_INLINE void Continue(const Sequence<T>& keys, int64_t rows, const Running<C>& running) {
  const int64_t d = running.d, padded = running.padded;
  for (int64_t from = 0; from < keys.size; from += kKeyBlock) {
    const int64_t count = std::min(kKeyBlock, keys.size - from);
    const C* block = Converted(keys.keys + from * d, d * kKeyBlock, running.keys);
    std::fill_n(running.weights, rows * kKeyBlock, C(0));
    AddProduct(running.query, d, rows, block, kKeyBlock, d, running.weights, kKeyBlock, kKeyBlock);
    Reweigh(running, rows, count);
    const C* values = Converted(keys.values + from * padded, count * padded, running.values);
    AddProduct<C>(running.weights, kKeyBlock, rows, values, padded, count, running.out, padded,
                  padded);
  }
}

// Writes token number `size - 1`.
template <class T>
FLAME_INLINE void Append(const T* key, const T* value, int64_t d, int64_t padded,
                         const Sequence<T>& to) {
  const int64_t token = to.size - 1;
  T* block = to.keys + token / kKeyBlock * d * kKeyBlock;
  if (token % kKeyBlock == 0) std::fill_n(block, d * kKeyBlock, T(0));
  for (int64_t i = 0; i < d; ++i) block[i * kKeyBlock + token % kKeyBlock] = key[i];
  T* row = to.values + token * padded;
  std::copy_n(value, d, row);
  std::fill_n(row + d, padded - d, T(0));
}

// The data that all groups of one call share.
template <class T>
struct Call {
  int64_t heads, kv_heads, d, padded;
  const T *query, *key, *value;  // [rows, heads or kv_heads, D]
  T* out;                        // [rows, heads, D]
  T *trunk_keys, *trunk_values, *own_keys, *own_values;
  int64_t trunk_capacity, own_capacity;

  Sequence<T> Trunk(int64_t place, int64_t head, int64_t size) const {
    const int64_t first = (place * kv_heads + head) * trunk_capacity;
    return {trunk_keys + first * d, trunk_values + first * padded, size};
  }
  Sequence<T> Own(int64_t slot, int64_t head, int64_t size) const {
    const int64_t first = (slot * kv_heads + head) * own_capacity;
    return {own_keys + first * d, own_values + first * padded, size};
  }
  // Returns how many numbers of scratch a group of `rows` rows needs.
  int64_t ScratchSize(int64_t rows) const {
    return rows * heads / kv_heads * (d + padded + kKeyBlock + 2) + kKeyBlock * (d + padded);
  }
};

template <class T, class C>
FLAME_INLINE Running<C> Layout(const Call<T>& call, int64_t rows, C* scratch) {
  Running<C> running;
  running.d = call.d, running.padded = call.padded;
  running.out = scratch;
  running.weights = running.out + rows * call.padded;
  running.keys = running.weights + rows * kKeyBlock;
  running.values = running.keys + call.d * kKeyBlock;
  running.largest = running.values + call.padded * kKeyBlock;
  running.sum = running.largest + rows;
  running.query = running.sum + rows;
  std::fill_n(running.out, rows * call.padded, C(0));
  std::fill_n(running.largest, rows, std::numeric_limits<C>::lowest());
  std::fill_n(running.sum, rows, C(0));
  return running;
}

// Attends with one key head of one group.
template <class T, class C>
FLAME_CLONES void AttendGroup(const Call<T>& call, const DecodeStep& step, const DecodeGroup& group,
                              int64_t head, C* scratch) {
  const int64_t d = call.d, shared = call.heads / call.kv_heads;
  const auto members = static_cast<int64_t>(group.rows.size());
  const Running<C> running = Layout(call, members * shared, scratch);
  const C scale = C(1) / std::sqrt(static_cast<C>(d));
  C* query = running.sum + members * shared;
  for (int64_t m = 0; m < members; ++m) {
    const T* from = call.query + (group.rows[m] * call.heads + head * shared) * d;
    for (int64_t i = 0; i < shared * d; ++i) {
      query[m * shared * d + i] = static_cast<C>(from[i]) * scale;
    }
  }
  Continue(call.Trunk(group.place, head, group.size), members * shared, running);
  for (int64_t m = 0; m < members; ++m) {
    const int64_t row = group.rows[m], from = (row * call.kv_heads + head) * d;
    const Sequence<T> own = call.Own(step.slots[row], head, step.own_size[row] + 1);
    Append(call.key + from, call.value + from, d, call.padded, own);
    Continue(own, shared, running.From(m * shared));
    T* to = call.out + (row * call.heads + head * shared) * d;
    for (int64_t h = 0; h < shared; ++h) {
      const C* out = running.out + (m * shared + h) * call.padded;
      const C inverse = C(1) / running.sum[m * shared + h];
      for (int64_t i = 0; i < d; ++i) to[h * d + i] = static_cast<T>(out[i] * inverse);
    }
  }
}

template <class T>
struct Accumulator {
  using Type = T;
};
template <>
struct Accumulator<at::BFloat16> {
  using Type = float;
};

template <class T>
void AttendGroups(const Call<T>& call, const DecodeStep& step) {
  using C = typename Accumulator<T>::Type;
  size_t largest = 0;
  for (const DecodeGroup& group : step.groups) largest = std::max(largest, group.rows.size());
  const auto tasks = static_cast<int64_t>(step.groups.size()) * call.kv_heads;
  at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    std::vector<C> scratch(call.ScratchSize(static_cast<int64_t>(largest)));
    for (int64_t task = begin; task < end; ++task) {
      AttendGroup<T, C>(call, step, step.groups[task / call.kv_heads], task % call.kv_heads,
                        scratch.data());
    }
  });
}

}  // namespace

at::Tensor DecodeAttention(const AttentionInput& input, const DecodeStep& step,
                           const KeyValueCache& trunks, KeyValueCache* own) {
  at::Tensor out = at::empty_like(input.query);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, input.query.scalar_type(), "DecodeAttention", [&] {
    Call<scalar_t> call;
    call.heads = input.query.size(1), call.kv_heads = input.key.size(1);
    call.d = input.query.size(2), call.padded = own->values.size(3);
    call.query = input.query.const_data_ptr<scalar_t>();
    call.key = input.key.const_data_ptr<scalar_t>();
    call.value = input.value.const_data_ptr<scalar_t>();
    call.out = out.mutable_data_ptr<scalar_t>();
    call.trunk_keys = trunks.keys.mutable_data_ptr<scalar_t>();
    call.trunk_values = trunks.values.mutable_data_ptr<scalar_t>();
    call.own_keys = own->keys.mutable_data_ptr<scalar_t>();
    call.own_values = own->values.mutable_data_ptr<scalar_t>();
    call.trunk_capacity = trunks.values.size(2), call.own_capacity = own->values.size(2);
    AttendGroups(call, step);
  });
  return out;
}

}  // namespace flame
