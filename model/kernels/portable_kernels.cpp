#include "model/kernels/portable_kernels.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/_fused_rms_norm.h>
#include <ATen/ops/_fused_rms_norm_backward.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <array>
#include <cmath>
#include <tuple>

#include "base/random.h"

namespace flame::portable {
namespace {

at::Tensor Wide(const at::Tensor& x) { return x.to(at::toOpMathType(x.scalar_type())); }

// Words of Philox blocks as int64 tensors with values below 2^32: the device needs no unsigned
// 32-bit arithmetic, and a product of two words wraps to the same 64 bits.
using Words = std::array<at::Tensor, 4>;

at::Tensor High(const at::Tensor& product) {
  return product.bitwise_right_shift(32).bitwise_and_(0xffffffff);
}
at::Tensor Low(const at::Tensor& product) { return product.bitwise_and(0xffffffff); }

// Returns the blocks with counters (column, row's low word, map, row's high word), [rows, columns].
Words Philox(const at::Tensor& rows, const at::Tensor& columns, uint32_t map, uint64_t seed) {
  const at::Tensor zeros = (rows.unsqueeze(1) + columns.unsqueeze(0)).zero_();
  Words words = {zeros + columns.unsqueeze(0), zeros + Low(rows).unsqueeze(1),
                 zeros + static_cast<int64_t>(map), zeros + High(rows).unsqueeze(1)};
  auto key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const at::Tensor a = words[0] * int64_t{0xD2511F53}, b = words[2] * int64_t{0xCD9E8D57};
    words = {High(b).bitwise_xor_(words[1]).bitwise_xor_(static_cast<int64_t>(key0)), Low(b),
             High(a).bitwise_xor_(words[3]).bitwise_xor_(static_cast<int64_t>(key1)), Low(a)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return words;
}

}  // namespace

std::pair<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                                          double eps) {
  if (x.is_cuda()) {
    auto [y, inverse] =
        at::_fused_rms_norm(x, {x.size(1)}, weight.to(x.scalar_type()), std::optional<double>(eps));
    return {y, inverse.view({x.size(0)})};
  }
  const at::Tensor wide = Wide(x);
  const at::Tensor inverse = at::rsqrt(wide.square().mean(1) + eps);
  return {(wide * inverse.unsqueeze(1) * weight).to(x.scalar_type()), inverse};
}

std::pair<at::Tensor, at::Tensor> RmsNormBackward(const at::Tensor& grad_y, const at::Tensor& x,
                                                  const at::Tensor& weight,
                                                  const at::Tensor& inverse_rms,
                                                  const at::Tensor& residual) {
  if (x.is_cuda()) {
    auto [grad_x, grad_weight] =
        at::_fused_rms_norm_backward(grad_y, x, {x.size(1)}, inverse_rms.view({x.size(0), 1}),
                                     weight.to(x.scalar_type()), {true, true});
    return {grad_x.add_(residual), grad_weight.to(weight.scalar_type())};
  }
  const at::Tensor inverse = inverse_rms.unsqueeze(1);
  const at::Tensor normed = Wide(x) * inverse, grad = Wide(grad_y);
  const at::Tensor slope = grad * weight;
  const at::Tensor own = (slope - normed * (slope * normed).mean(1, /*keepdim=*/true)) * inverse;
  return {(own + residual).to(x.scalar_type()), (grad * normed).sum(0).to(weight.scalar_type())};
}

void Rotate(at::Tensor* x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse) {
  const int64_t half = x->size(2) / 2;
  const at::Tensor c = cosine.unsqueeze(1), s = inverse ? -sine.unsqueeze(1) : sine.unsqueeze(1);
  at::Tensor first = x->narrow(2, 0, half), second = x->narrow(2, half, half);
  const at::Tensor a = first * c - second * s;
  second.copy_(second * c + first * s);
  first.copy_(a);
}

at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate).mul_(up); }

at::Tensor SwiGluBackward(const at::Tensor& grad, at::Tensor* gate, at::Tensor* up) {
  const at::Tensor silu = at::silu(*gate);
  at::Tensor product = silu * *up;
  gate->copy_(at::silu_backward(grad * *up, *gate));
  up->copy_(grad * silu);
  return product;
}

at::Tensor Dropout(const at::Tensor& x, double p, uint64_t seed, uint32_t map,
                   const at::Tensor& rows) {
  const int64_t n = x.size(0), d = x.size(1), groups = (d + 127) / 128;
  const auto threshold = std::lround(p * 65536);
  const auto ids = x.options().dtype(at::kLong);
  const Words words = Philox(rows, at::arange(groups * 16, ids), map, seed);
  // Column c reads 16-bit piece c % 128 / 16 of block c / 128 * 16 + c % 16.
  std::vector<at::Tensor> pieces;
  for (const at::Tensor& word : words) {
    pieces.push_back(word.bitwise_and(0xffff).view({n, groups, 16}));
    pieces.push_back(word.bitwise_right_shift(16).view({n, groups, 16}));
  }
  const at::Tensor drawn = at::stack(pieces, 2).view({n, groups * 128}).narrow(1, 0, d);
  return x * drawn.ge(threshold) * (65536.0 / static_cast<double>(65536 - threshold));
}

at::Tensor Dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype) {
  const int64_t rows = matrix.rows, columns = matrix.columns;
  if (matrix.kind == Quantization::kInt8) {
    const at::Tensor index = matrix.codes.to(at::kInt) + 127;
    return (at::embedding(matrix.levels.unsqueeze(1), index).squeeze(2) * matrix.absmax).to(dtype);
  }
  const at::Tensor low = matrix.codes.bitwise_and(15), high = matrix.codes.bitwise_right_shift(4);
  const at::Tensor index = at::stack({low, high}, 2).flatten(1).narrow(1, 0, columns).to(at::kInt);
  const at::Tensor level = at::embedding(matrix.levels.unsqueeze(1), index).squeeze(2);
  // Repeats each block's scale for its columns; the last block may be shorter.
  const at::Tensor scale = matrix.absmax.unsqueeze(2)
                               .expand({rows, matrix.absmax.size(1), kNf4Block})
                               .flatten(1)
                               .narrow(1, 0, columns);
  return (level * scale).to(dtype);
}

}  // namespace flame::portable
