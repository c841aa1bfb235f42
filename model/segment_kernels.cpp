#include <cmath>
#include <limits>

#include "model/kernels.h"
#include "model/simd.h"

namespace flame {

template <class T>
FLAME_CLONES void ContinueSoftmax(const SegmentShape& s, const T* query, const T* key,
                                  const T* value, T* out, T* lse) {
  const int64_t d = s.head_dim, q_row = s.heads * d, k_row = s.kv_heads * d;
  const int64_t group = s.heads / s.kv_heads;
  T weights[kMaxSegment];
  for (int64_t i = 0; i < s.size; ++i) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t row = i * q_row + h * d, kv = h / group * d;
      T& sum = lse[i * s.heads + h];
      T largest = sum;
      for (int64_t j = 0; j <= i; ++j) {
        weights[j] = Dot(query + row, key + j * k_row + kv, d) * static_cast<T>(s.scale);
        largest = weights[j] > largest ? weights[j] : largest;
      }
      const T before = std::exp(sum - largest);
      T total = before;
      for (int64_t j = 0; j <= i; ++j) total += weights[j] = std::exp(weights[j] - largest);
      for (int64_t c = 0; c < d; ++c) out[row + c] *= before / total;
      for (int64_t j = 0; j <= i; ++j) {
        Axpy(weights[j] / total, value + j * k_row + kv, out + row, d);
      }
      sum = largest + std::log(total);
    }
  }
}

template <class T>
FLAME_CLONES void ContinueSoftmaxBackward(const SegmentShape& s, const T* query, const T* key,
                                          const T* value, const T* out, const T* lse,
                                          const SegmentGradients<T>& gradients) {
  const int64_t d = s.head_dim, q_row = s.heads * d, k_row = s.kv_heads * d;
  const int64_t group = s.heads / s.kv_heads;
  const T scale = static_cast<T>(s.scale);
  for (int64_t i = 0; i < s.size; ++i) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t row = i * q_row + h * d;
      const T* grad = gradients.out + row;
      const T delta = Dot(grad, out + row, d);
      for (int64_t j = 0; j <= i; ++j) {
        const int64_t kv = j * k_row + h / group * d;
        const T weight = std::exp(Dot(query + row, key + kv, d) * scale - lse[i * s.heads + h]);
        const T slope = weight * (Dot(grad, value + kv, d) - delta) * scale;
        Axpy(slope, key + kv, gradients.query + row, d);
        Axpy(slope, query + row, gradients.key + kv, d);
        Axpy(weight, grad, gradients.value + kv, d);
      }
    }
  }
}

template void ContinueSoftmax<float>(const SegmentShape&, const float*, const float*, const float*,
                                     float*, float*);
template void ContinueSoftmax<double>(const SegmentShape&, const double*, const double*,
                                      const double*, double*, double*);
template void ContinueSoftmaxBackward<float>(const SegmentShape&, const float*, const float*,
                                             const float*, const float*, const float*,
                                             const SegmentGradients<float>&);
template void ContinueSoftmaxBackward<double>(const SegmentShape&, const double*, const double*,
                                              const double*, const double*, const double*,
                                              const SegmentGradients<double>&);

}  // namespace flame
