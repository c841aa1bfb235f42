// Attention inside a short segment as products of small matrices that stay in the cache. Every
// matrix is padded with zeros to multiples of kPad rows and columns, so that no loop has a tail.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "model/kernels/kernels.h"
#include "model/kernels/simd.h"

namespace flame {
namespace {

constexpr int64_t kPad = 16;      // columns of a tile: an AVX-512 register of float32
constexpr int64_t kTileRows = 8;  // enough independent sums to hide a multiply-add's latency

int64_t Padded(int64_t n) { return (n + kPad - 1) / kPad * kPad; }

// A factor of a product: element (i, j) is data[i * row + j * column].
template <class W>
struct Factor {
  const W* data;
  int64_t row, column;
};

// Computes c [kTileRows, columns] += a [kTileRows, inner] b [inner, columns]. `stride_b` and
// `stride_c` are the distances between rows of b and of c.
template <class W>
FLAME_INLINE void AddProduct(Factor<W> a, const W* b, int64_t stride_b, int64_t inner,
                             int64_t columns, W* c, int64_t stride_c) {
  for (int64_t from = 0; from < columns; from += kPad) {
    W sums[kTileRows][kPad];
    for (int64_t i = 0; i < kTileRows; ++i) {
#pragma omp simd
      for (int64_t l = 0; l < kPad; ++l) sums[i][l] = c[i * stride_c + from + l];
    }
    for (int64_t k = 0; k < inner; ++k) {
      const W* row = b + k * stride_b + from;
#pragma GCC unroll 8
      for (int64_t i = 0; i < kTileRows; ++i) {
        const W factor = a.data[i * a.row + k * a.column];
#pragma omp simd
        for (int64_t l = 0; l < kPad; ++l) sums[i][l] += factor * row[l];
      }
    }
    for (int64_t i = 0; i < kTileRows; ++i) {
#pragma omp simd
      for (int64_t l = 0; l < kPad; ++l) c[i * stride_c + from + l] = sums[i][l];
    }
  }
}

// Copies one head's rows of a packed tensor, `stride` apart, into a matrix [Padded(n), Padded(d)].
template <class T, class W>
FLAME_INLINE void Load(const T* x, int64_t stride, int64_t n, int64_t d, W* matrix) {
  const int64_t width = Padded(d);
  std::fill_n(matrix, Padded(n) * width, W(0));
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t c = 0; c < d; ++c) matrix[i * width + c] = Widen(x[i * stride + c]);
  }
}

template <class T, class W>
FLAME_INLINE void Store(const W* matrix, int64_t stride, int64_t n, int64_t d, T* x) {
  for (int64_t i = 0; i < n; ++i) {
#pragma omp simd
    for (int64_t c = 0; c < d; ++c) Narrow(matrix[i * Padded(d) + c], x + i * stride + c);
  }
}

// Transposes a padded [rows, columns] into a padded [columns, rows].
template <class W>
FLAME_INLINE void Transpose(const W* x, int64_t rows, int64_t columns, W* y) {
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < rows; ++i) y[j * rows + i] = x[i * columns + j];
  }
}

// Returns exp(x) for x <= 0; NaN stays NaN.
template <class W>
FLAME_INLINE W Exp(W x) {
  return ExpOfMinus(x) + (x - x);  // NOLINT(misc-redundant-expression): NaN if x is
}

// The matrices of one segment and one key head, in one allocation.
template <class W>
class Workspace {
 public:
  Workspace(const SegmentShape& shape, int64_t num_tall, int64_t num_square)
      : tall_(Padded(shape.size) * Padded(shape.head_dim)),
        square_(Padded(shape.size) * Padded(shape.size)),
        memory_(num_tall * tall_ + num_square * square_) {}
  W* Tall() { return Take(tall_); }      // [Padded(size), Padded(head_dim)] or its transpose
  W* Square() { return Take(square_); }  // [Padded(size), Padded(size)]

 private:
  W* Take(int64_t count) { return memory_.data() + std::exchange(used_, used_ + count); }
  int64_t tall_, square_, used_ = 0;
  std::vector<W> memory_;
};

// Turns the first `keys` scores into their weights in the merged softmax. Returns the share of the
// softmax so far.
template <class W>
FLAME_INLINE W MergeRow(W scale, int64_t keys, W* scores, W* lse) {
  W largest = *lse;
  for (int64_t j = 0; j < keys; ++j) {
    scores[j] *= scale;
    largest = scores[j] > largest ? scores[j] : largest;
  }
  W total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t j = 0; j < keys; ++j) total += scores[j] = Exp(scores[j] - largest);
  const W before = std::exp(*lse - largest);
  total += before;
  for (int64_t j = 0; j < keys; ++j) scores[j] /= total;
  *lse = largest + std::log(total);
  return before / total;
}

// Continues one query head. Computes only the tiles of the scores on and below the diagonal.
template <class T, class W>
FLAME_CLONES void ContinueHead(const SegmentShape& s, const T* query, const W* key_t,
                               const W* value, T* out, W* lse, W* q, W* o, W* scores) {
  const int64_t n = Padded(s.size), d = Padded(s.head_dim), stride = s.heads * s.head_dim;
  const int64_t first = s.size - s.queries;  // query r sees keys 0..first + r
  Load(query, stride, s.queries, s.head_dim, q);
  Load(out, stride, s.queries, s.head_dim, o);
  std::fill_n(scores, Padded(s.queries) * n, W(0));
  for (int64_t i = 0; i < s.queries; i += kTileRows) {
    const int64_t end = std::min(i + kTileRows, s.queries), seen = first + end;
    AddProduct<W>({q + i * d, d, 1}, key_t, n, d, Padded(seen), scores + i * n, n);
    for (int64_t r = i; r < end; ++r) {
      const int64_t keys = first + r + 1;
      const W before = MergeRow(static_cast<W>(s.scale), keys, scores + r * n, lse + r * s.heads);
      std::fill(scores + r * n + keys, scores + r * n + n, W(0));
      for (int64_t c = 0; c < d; ++c) o[r * d + c] *= before;
    }
    AddProduct<W>({scores + i * n, n, 1}, value, d, seen, d, o + i * d, d);
  }
  Store(o, stride, s.queries, s.head_dim, out);
}

template <class T>
struct BackwardMatrices {
  const T *key, *key_t, *value_t;  // the segment's keys and values, padded
  T *grad_key, *grad_value;        // summed over the query heads
  T *query, *grad_out, *grad_query;
  T *weights, *slopes;  // [n, n]
};

// With P the softmax and dP = dO V^T: dS = P (dP - rowsum(dO O)) scale; dQ = dS K, dK = dS^T Q and
// dV = P^T dO.
template <class T>
FLAME_CLONES void ContinueHeadBackward(const SegmentShape& s, const T* query, const T* out,
                                       const T* lse, const T* grad_out, T* grad_query,
                                       const BackwardMatrices<T>& m) {
  const int64_t n = Padded(s.size), d = Padded(s.head_dim), stride = s.heads * s.head_dim;
  const int64_t first = s.size - s.queries;  // query r sees keys 0..first + r
  const T scale = static_cast<T>(s.scale);
  Load(query, stride, s.queries, s.head_dim, m.query);
  Load(grad_out, stride, s.queries, s.head_dim, m.grad_out);
  Load(grad_query, stride, s.queries, s.head_dim, m.grad_query);
  std::fill_n(m.weights, Padded(s.queries) * n, T(0));
  std::fill_n(m.slopes, Padded(s.queries) * n, T(0));
  for (int64_t i = 0; i < s.queries; i += kTileRows) {
    const int64_t seen = first + std::min(i + kTileRows, s.queries);
    AddProduct<T>({m.query + i * d, d, 1}, m.key_t, n, d, Padded(seen), m.weights + i * n, n);
    AddProduct<T>({m.grad_out + i * d, d, 1}, m.value_t, n, d, Padded(seen), m.slopes + i * n, n);
    for (int64_t r = i; r < i + kTileRows; ++r) {
      T *weights = m.weights + r * n, *slopes = m.slopes + r * n;
      const int64_t keys = r < s.queries ? first + r + 1 : 0;
      const T delta = keys == 0 ? 0 : Dot(grad_out + r * stride, out + r * stride, s.head_dim);
      const T sum = keys == 0 ? 0 : lse[r * s.heads];
#pragma omp simd
      for (int64_t j = 0; j < keys; ++j) {
        weights[j] = Exp(weights[j] * scale - sum);
        slopes[j] = weights[j] * (slopes[j] - delta) * scale;
      }
      std::fill(weights + keys, weights + n, T(0));
      std::fill(slopes + keys, slopes + n, T(0));
    }
    AddProduct<T>({m.slopes + i * n, n, 1}, m.key, d, seen, d, m.grad_query + i * d, d);
  }
  for (int64_t j = 0; j < s.size; j += kTileRows) {  // queries r.. see the keys of tile j
    const int64_t r = std::max<int64_t>(j - first, 0), corner = r * n + j, rest = s.queries - r;
    AddProduct<T>({m.slopes + corner, 1, n}, m.query + r * d, d, rest, d, m.grad_key + j * d, d);
    AddProduct<T>({m.weights + corner, 1, n}, m.grad_out + r * d, d, rest, d, m.grad_value + j * d,
                  d);
  }
  Store(m.grad_query, stride, s.queries, s.head_dim, grad_query);
}

}  // namespace

template <class T>
void ContinueSoftmax(const SegmentShape& s, int64_t kv_head, const T* query, const T* key,
                     const T* value, T* out, T* lse) {
  const int64_t d = s.head_dim, stride = s.kv_heads * d, group = s.heads / s.kv_heads;
  Workspace<T> space(s, /*num_tall=*/5, /*num_square=*/1);
  T *k = space.Tall(), *key_t = space.Tall(), *v = space.Tall(), *q = space.Tall();
  T *o = space.Tall(), *scores = space.Square();
  Load(key + kv_head * d, stride, s.size, d, k);
  Load(value + kv_head * d, stride, s.size, d, v);
  Transpose(k, Padded(s.size), Padded(d), key_t);
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    ContinueHead(s, query + h * d, key_t, v, out + h * d, lse + h, q, o, scores);
  }
}

template <class T>
void ContinueSoftmaxBackward(const SegmentShape& s, int64_t kv_head, const T* query, const T* key,
                             const T* value, const T* out, const T* lse,
                             const SegmentGradients<T>& gradients) {
  const int64_t d = s.head_dim, stride = s.kv_heads * d, group = s.heads / s.kv_heads;
  const int64_t n = Padded(s.size), width = Padded(d);
  Workspace<T> space(s, /*num_tall=*/9, /*num_square=*/2);
  T *k = space.Tall(), *v = space.Tall(), *key_t = space.Tall(), *value_t = space.Tall();
  Load(key + kv_head * d, stride, s.size, d, k);
  Load(value + kv_head * d, stride, s.size, d, v);
  Transpose(k, n, width, key_t);
  Transpose(v, n, width, value_t);
  const BackwardMatrices<T> m = {k,
                                 key_t,
                                 value_t,
                                 space.Tall(),
                                 space.Tall(),
                                 space.Tall(),
                                 space.Tall(),
                                 space.Tall(),
                                 space.Square(),
                                 space.Square()};
  for (int64_t h = kv_head * group; h < (kv_head + 1) * group; ++h) {
    ContinueHeadBackward(s, query + h * d, out + h * d, lse + h, gradients.out + h * d,
                         gradients.query + h * d, m);
  }
  Store(m.grad_key, stride, s.size, d, gradients.key + kv_head * d);
  Store(m.grad_value, stride, s.size, d, gradients.value + kv_head * d);
}

template void ContinueSoftmax<float>(const SegmentShape&, int64_t, const float*, const float*,
                                     const float*, float*, float*);
template void ContinueSoftmax<double>(const SegmentShape&, int64_t, const double*, const double*,
                                      const double*, double*, double*);
template void ContinueSoftmaxBackward<float>(const SegmentShape&, int64_t, const float*,
                                             const float*, const float*, const float*, const float*,
                                             const SegmentGradients<float>&);
template void ContinueSoftmaxBackward<double>(const SegmentShape&, int64_t, const double*,
                                              const double*, const double*, const double*,
                                              const double*, const SegmentGradients<double>&);

}  // namespace flame
