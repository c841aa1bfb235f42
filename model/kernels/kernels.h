// The elementwise kernels of a block and their derivatives. Tensors are contiguous float32, float64
// or bfloat16. On the CPU each kernel is one pass over memory; x86 builds choose AVX-512, AVX2 or
// SSE2 code at start-up. Other devices use ATen's operators (portable_kernels.h). bfloat16 is only
// a storage type: arithmetic, and the results called wide below, are float32. Results do not depend
// on the number of threads.
#ifndef FLAME_MODEL_KERNELS_KERNELS_H_
#define FLAME_MODEL_KERNELS_KERNELS_H_

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace flame {

// Computes y = x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang & Sennrich 2019). x is
// [T, d], weight [d] of any floating type. Returns y in x's type and 1 / sqrt(..) [T], wide.
std::pair<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                                          double eps);

// Returns a new tensor, the gradient of x plus `residual` [T, d], and the gradient of the weight
// [d] in the weight's type.
std::pair<at::Tensor, at::Tensor> RmsNormBackward(const at::Tensor& grad_y, const at::Tensor& x,
                                                  const at::Tensor& weight,
                                                  const at::Tensor& inverse_rms,
                                                  const at::Tensor& residual);

// Rotates x [T, heads, D] in place: pairs (i, i + D/2) by the angles with the given cosine and sine
// [T, D/2], wide (RoFormer, with transformers' half-split convention). `inverse` rotates by -angle.
void Rotate(at::Tensor* x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);

// Returns silu(gate) * up.
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);
// Overwrites gate and up with their gradients and returns silu(gate) * up again.
at::Tensor SwiGluBackward(const at::Tensor& grad, at::Tensor* gate, at::Tensor* up);

// Returns x [n, d] with each element zeroed with probability p (in steps of 1/65536) and the others
// divided by 1 - p. The mask is a pure function of (seed, map, row, column). Column c reads 16-bit
// piece (c % 128) / 16, a word's low half first, of the Philox4x32-10 block with key `seed` and
// counter (c / 128 * 16 + c % 16, rows[r] % 2^32, map, rows[r] / 2^32), and is kept if the piece is
// >= p * 65536. `rows` is int64 [n], >= 0, one for each row of x. The seed must differ from those
// of other random numbers.
at::Tensor Dropout(const at::Tensor& x, double p, uint64_t seed, uint32_t map,
                   const at::Tensor& rows);

// Attention inside short segments of the packed axis, on the CPU. Queries are a segment's last
// tokens. Pointers point to the first row: query and out [queries, heads, D], key and value
// [size, kv_heads, D], lse [queries, heads], wide. One call serves one key head and the heads /
// kv_heads query heads that share it.
struct SegmentShape {
  int64_t queries, size;  // 0 < queries <= size <= kMaxSegment
  int64_t heads, kv_heads, head_dim;
  double scale;  // factor of the scores
};
// Up to this size a segment's products fit the second-level cache, and a general matrix product
// costs more to call than to compute.
inline constexpr int64_t kMaxSegment = 64;

// Merges the attention over the segment's causal keys into an earlier attention over other keys
// (online softmax, Milakov & Gimelshein 2018). `out` and `lse` hold the output and the log-sum-exp
// of the earlier attention, and are overwritten with the merged ones. Instantiated for float and
// double.
template <class T>
void ContinueSoftmax(const SegmentShape& shape, int64_t kv_head, const T* query, const T* key,
                     const T* value, T* out, T* lse);

// The gradients that flow through the segment's own keys, given the merged out and lse.
// ContinueSoftmaxBackward adds to the gradient of query and sets those of key and value, which no
// other query sees. Instantiated for float and double.
template <class T>
struct SegmentGradients {
  const T* out;  // gradient of out
  T* query;
  T* key;
  T* value;
};
template <class T>
void ContinueSoftmaxBackward(const SegmentShape& shape, int64_t kv_head, const T* query,
                             const T* key, const T* value, const T* out, const T* lse,
                             const SegmentGradients<T>& gradients);

}  // namespace flame

#endif  // FLAME_MODEL_KERNELS_KERNELS_H_
