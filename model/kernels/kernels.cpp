#include "model/kernels/kernels.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "base/random.h"
#include "model/kernels/portable_kernels.h"
#include "model/kernels/simd.h"

namespace flame {
namespace {

constexpr int64_t kElementsPerTask = 32768;  // with fewer, a second thread costs more than it gains
constexpr int64_t kRowsPerPartial = 64;      // rows that share one partial sum of a weight gradient

int64_t RowsPerTask(int64_t columns) { return std::max<int64_t>(1, kElementsPerTask / columns); }

template <class T>
using Wide = at::opmath_type<T>;

template <class T>
FLAME_CLONES void RmsNormRows(const T* x, const Wide<T>* weight, Wide<T> eps, int64_t rows,
                              int64_t d, T* y, Wide<T>* inverse) {
  for (int64_t r = 0; r < rows; ++r, x += d, y += d) {
    const Wide<T> inv = 1 / std::sqrt(Dot(x, x, d) / static_cast<Wide<T>>(d) + eps);
    inverse[r] = inv;
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) Narrow(Widen(x[i]) * inv * weight[i], y + i);
  }
}

// The gradient of x_i for y_i = x_i inv w_i is inv (g_i w_i - x_i inv^2 mean(g w x)).
template <class T>
FLAME_CLONES void RmsNormBackwardRows(const T* grad, const T* x, const Wide<T>* weight,
                                      const Wide<T>* inverse, const T* residual, int64_t rows,
                                      int64_t d, T* grad_x, Wide<T>* grad_weight) {
  for (int64_t r = 0; r < rows; ++r, x += d, grad += d, residual += d, grad_x += d) {
    const Wide<T> inv = inverse[r];
    Wide<T> dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t i = 0; i < d; ++i) {
      const Wide<T> g = Widen(grad[i]), in = Widen(x[i]);
      dot += g * weight[i] * in;
      grad_weight[i] += g * in * inv;
    }
    const Wide<T> pull = dot * inv * inv / static_cast<Wide<T>>(d);
#pragma omp simd
    for (int64_t i = 0; i < d; ++i) {
      const Wide<T> own = inv * (Widen(grad[i]) * weight[i] - Widen(x[i]) * pull);
      Narrow(Widen(residual[i]) + own, grad_x + i);
    }
  }
}

template <class T>
FLAME_CLONES void RotateRows(T* x, const Wide<T>* cosine, const Wide<T>* sine, Wide<T> sign,
                             int64_t rows, int64_t heads, int64_t half) {
  for (int64_t r = 0; r < rows; ++r, cosine += half, sine += half) {
    for (int64_t h = 0; h < heads; ++h, x += 2 * half) {
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const Wide<T> a = Widen(x[i]), b = Widen(x[half + i]), s = sign * sine[i];
        Narrow(a * cosine[i] - b * s, x + i);
        Narrow(b * cosine[i] + a * s, x + half + i);
      }
    }
  }
}

template <class T>
FLAME_CLONES void SwiGluRange(const T* __restrict gate, const T* __restrict up, int64_t n,
                              T* __restrict product) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Wide<T> g = Widen(gate[i]);
    Narrow(g * Sigmoid(g) * Widen(up[i]), product + i);
  }
}

template <class T>
FLAME_CLONES void SwiGluBackwardRange(const T* __restrict grad, int64_t n, T* __restrict gate,
                                      T* __restrict up, T* __restrict product) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const Wide<T> dy = Widen(grad[i]), g = Widen(gate[i]), u = Widen(up[i]);
    const Wide<T> sigmoid = Sigmoid(g);
    Narrow(g * sigmoid * u, product + i);
    Narrow(dy * u * sigmoid * (1 + g * (1 - sigmoid)), gate + i);
    Narrow(dy * g * sigmoid, up + i);
  }
}

constexpr int64_t kLanes = 16;            // Philox blocks computed at the same time
constexpr int64_t kColumns = 8 * kLanes;  // columns that those blocks serve

// Computes words[w][lane] of the blocks with counters (first + lane, row's low word, map, row's
// high word).
FLAME_INLINE void PhiloxLanes(uint32_t first, uint64_t row, uint32_t map, uint64_t seed,
                              uint32_t (&words)[4][kLanes]) {
  for (int64_t l = 0; l < kLanes; ++l) {
    words[0][l] = first + static_cast<uint32_t>(l);
    words[1][l] = static_cast<uint32_t>(row);
    words[2][l] = map;
    words[3][l] = static_cast<uint32_t>(row >> 32);
  }
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t l = 0; l < kLanes; ++l) {
      const uint64_t a = uint64_t{0xD2511F53u} * words[0][l];
      const uint64_t b = uint64_t{0xCD9E8D57u} * words[2][l];
      words[0][l] = static_cast<uint32_t>(b >> 32) ^ words[1][l] ^ key0;
      words[1][l] = static_cast<uint32_t>(b);
      words[2][l] = static_cast<uint32_t>(a >> 32) ^ words[3][l] ^ key1;
      words[3][l] = static_cast<uint32_t>(a);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

template <class T>
FLAME_CLONES void DropoutRow(const T* x, int64_t d, uint32_t threshold, Wide<T> scale,
                             uint64_t seed, uint32_t map, uint64_t row, T* y) {
  uint32_t words[4][kLanes];
  for (int64_t begin = 0; begin < d; begin += kColumns) {
    PhiloxLanes(static_cast<uint32_t>(begin / kColumns * kLanes), row, map, seed, words);
    for (int64_t piece = 0; piece < 8; ++piece) {
      const int64_t from = begin + piece * kLanes, shift = piece % 2 * 16;
      const int64_t count = std::min(kLanes, d - from);
#pragma omp simd
      for (int64_t l = 0; l < count; ++l) {
        const uint32_t drawn = words[piece / 2][l] >> shift & 0xFFFFu;
        Narrow(drawn >= threshold ? Widen(x[from + l]) * scale : Wide<T>(0), y + from + l);
      }
    }
  }
}

at::TensorOptions WideOptions(const at::Tensor& x) {
  return x.options().dtype(at::toOpMathType(x.scalar_type()));
}

}  // namespace

std::pair<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                                          double eps) {
  if (!x.is_cpu()) return portable::RmsNorm(x, weight, eps);
  const int64_t rows = x.size(0), d = x.size(1);
  at::Tensor y = at::empty_like(x), inverse = at::empty({rows}, WideOptions(x));
  const at::Tensor wide_weight = weight.to(inverse.scalar_type());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "RmsNorm", [&] {
    const auto* in = x.const_data_ptr<scalar_t>();
    const auto* w = wide_weight.const_data_ptr<Wide<scalar_t>>();
    auto* out = y.mutable_data_ptr<scalar_t>();
    auto* inv = inverse.mutable_data_ptr<Wide<scalar_t>>();
    at::parallel_for(0, rows, RowsPerTask(d), [&](int64_t begin, int64_t end) {
      RmsNormRows<scalar_t>(in + begin * d, w, static_cast<Wide<scalar_t>>(eps), end - begin, d,
                            out + begin * d, inv + begin);
    });
  });
  return {y, inverse};
}

std::pair<at::Tensor, at::Tensor> RmsNormBackward(const at::Tensor& grad_y, const at::Tensor& x,
                                                  const at::Tensor& weight,
                                                  const at::Tensor& inverse_rms,
                                                  const at::Tensor& residual) {
  if (!x.is_cpu()) return portable::RmsNormBackward(grad_y, x, weight, inverse_rms, residual);
  const int64_t rows = x.size(0), d = x.size(1);
  const int64_t partials = (rows + kRowsPerPartial - 1) / kRowsPerPartial;
  at::Tensor grad_x = at::empty_like(x), grad_weight = at::zeros({partials, d}, WideOptions(x));
  const at::Tensor wide_weight = weight.to(grad_weight.scalar_type());
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "RmsNormBackward", [&] {
    const auto* grad = grad_y.const_data_ptr<scalar_t>();
    const auto* in = x.const_data_ptr<scalar_t>();
    const auto* w = wide_weight.const_data_ptr<Wide<scalar_t>>();
    const auto* inv = inverse_rms.const_data_ptr<Wide<scalar_t>>();
    const auto* before = residual.const_data_ptr<scalar_t>();
    auto* out = grad_x.mutable_data_ptr<scalar_t>();
    auto* sums = grad_weight.mutable_data_ptr<Wide<scalar_t>>();
    const int64_t grain = std::max<int64_t>(1, RowsPerTask(d) / kRowsPerPartial);
    at::parallel_for(0, partials, grain, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        const int64_t from = p * kRowsPerPartial;
        RmsNormBackwardRows<scalar_t>(grad + from * d, in + from * d, w, inv + from,
                                      before + from * d, std::min(kRowsPerPartial, rows - from), d,
                                      out + from * d, sums + p * d);
      }
    });
  });
  return {grad_x, grad_weight.sum(0).to(weight.scalar_type())};
}

void Rotate(at::Tensor* x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  if (!x->is_cpu()) return portable::Rotate(x, cosine, sine, inverse);
  const int64_t rows = x->size(0), heads = x->size(1), half = x->size(2) / 2;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x->scalar_type(), "Rotate", [&] {
    auto* data = x->mutable_data_ptr<scalar_t>();
    const auto* c = cosine.const_data_ptr<Wide<scalar_t>>();
    const auto* s = sine.const_data_ptr<Wide<scalar_t>>();
    const int64_t width = heads * 2 * half;
    at::parallel_for(0, rows, RowsPerTask(width), [&](int64_t begin, int64_t end) {
      RotateRows<scalar_t>(data + begin * width, c + begin * half, s + begin * half,
                           inverse ? -1 : 1, end - begin, heads, half);
    });
  });
}

at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up) {
  if (!gate.is_cpu()) return portable::SwiGlu(gate, up);
  at::Tensor product = at::empty_like(gate);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, gate.scalar_type(), "SwiGlu", [&] {
    const auto* g = gate.const_data_ptr<scalar_t>();
    const auto* u = up.const_data_ptr<scalar_t>();
    auto* out = product.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, gate.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      SwiGluRange<scalar_t>(g + begin, u + begin, end - begin, out + begin);
    });
  });
  return product;
}

at::Tensor SwiGluBackward(const at::Tensor& grad, at::Tensor* gate, at::Tensor* up) {
  if (!grad.is_cpu()) return portable::SwiGluBackward(grad, gate, up);
  at::Tensor product = at::empty_like(grad);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, grad.scalar_type(), "SwiGluBackward", [&] {
    const auto* dy = grad.const_data_ptr<scalar_t>();
    auto* g = gate->mutable_data_ptr<scalar_t>();
    auto* u = up->mutable_data_ptr<scalar_t>();
    auto* out = product.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, grad.numel(), kElementsPerTask, [&](int64_t begin, int64_t end) {
      SwiGluBackwardRange<scalar_t>(dy + begin, end - begin, g + begin, u + begin, out + begin);
    });
  });
  return product;
}

at::Tensor Dropout(const at::Tensor& x, double p, uint64_t seed, uint32_t map,
                   const at::Tensor& rows) {
  if (!x.is_cpu()) return portable::Dropout(x, p, seed, map, rows);
  const int64_t n = x.size(0), d = x.size(1);
  const auto* numbers = rows.const_data_ptr<int64_t>();
  const auto threshold = static_cast<uint32_t>(std::lround(p * 65536));
  const double scale = 65536.0 / (65536.0 - threshold);
  at::Tensor y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "Dropout", [&] {
    const auto* in = x.const_data_ptr<scalar_t>();
    auto* out = y.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, n, RowsPerTask(d), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        DropoutRow<scalar_t>(in + r * d, d, threshold, static_cast<Wide<scalar_t>>(scale), seed,
                             map, static_cast<uint64_t>(numbers[r]), out + r * d);
      }
    });
  });
  return y;
}

}  // namespace flame
