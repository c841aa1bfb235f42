// The elementwise kernels of a block with their derivatives. Tensors are contiguous, of float32,
// float64 or bfloat16. On the CPU each is one pass over memory; x86 builds choose AVX-512, AVX2 or
// SSE2 code at start-up. On other devices they are operators of ATen (portable_kernels.h). bfloat16
// is what memory holds: arithmetic, and the results that are called wide below, are float32.
// Results do not depend on the number of threads.
#ifndef FLAME_MODEL_KERNELS_KERNELS_H_
#define FLAME_MODEL_KERNELS_KERNELS_H_

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

namespace flame {

// y = x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang & Sennrich 2019). x [T, d],
// weight [d] of any floating type; gives y in x's type and 1 / sqrt(..) [T], wide.
std::pair<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                                          double eps);

// The gradient of x added to `residual` [T, d] in a new tensor, and the gradient of the weight [d]
// in the weight's type.
std::pair<at::Tensor, at::Tensor> RmsNormBackward(const at::Tensor& grad_y, const at::Tensor& x,
                                                  const at::Tensor& weight,
                                                  const at::Tensor& inverse_rms,
                                                  const at::Tensor& residual);

// Rotates x [T, heads, D] in place: pairs (i, i + D/2) by the angles whose cosine and sine are
// given, [T, D/2], wide (RoFormer; the half-split convention of transformers). `inverse`: by
// -angle.
void Rotate(at::Tensor* x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);

// silu(gate) * up.
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);
// Overwrites gate and up by their gradients, and gives silu(gate) * up again.
at::Tensor SwiGluBackward(const at::Tensor& grad, at::Tensor* gate, at::Tensor* up);

// x [T, d] with each element zeroed with probability p (in steps of 1/65536) and the rest divided
// by 1 - p. The mask is a pure function of (seed, map, row, column): column c reads 16-bit piece (c
// % 128) / 16, low half of a word first, of the Philox4x32-10 block with key `seed` and counter (c
// / 128 * 16 + c % 16, rows[r] % 2^32, map, rows[r] / 2^32), and is kept where the piece is >= p *
// 65536. `rows` is int64 [n], one a row of x, >= 0. The seed is not that of other random numbers.
at::Tensor Dropout(const at::Tensor& x, double p, uint64_t seed, uint32_t map,
                   const at::Tensor& rows);

// Attention inside short segments of the packed axis, on the CPU; queries are a segment's last
// tokens. Pointers are at the first row: query and out [queries, heads, D], key and value [size,
// kv_heads, D], lse [queries, heads], wide. A call serves one key head and the heads / kv_heads
// query heads that share it.
struct SegmentShape {
  int64_t queries, size;  // 0 < queries <= size <= kMaxSegment
  int64_t heads, kv_heads, head_dim;
  double scale;  // of the scores
};
// Up to it the products of a segment fit the second-level cache, and a general matrix product costs
// more to call than to compute.
inline constexpr int64_t kMaxSegment = 64;

// A softmax over other keys, given by its output and log-sum-exp, goes on over the causal keys of
// the segment (online softmax, Milakov & Gimelshein 2018): out and lse become the merged ones.
// For float and double.
template <class T>
void ContinueSoftmax(const SegmentShape& shape, int64_t kv_head, const T* query, const T* key,
                     const T* value, T* out, T* lse);

// What the segment's own keys contribute to the gradients, given the merged out and lse: added to
// the gradient of query, stored as those of key and value, which no other query sees. For float and
// double.
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
