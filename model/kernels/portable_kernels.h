// The kernels of model/kernels/kernels.h and of quantised matrices, built from ATen's operators for
// devices other than the CPU. Arguments and results are the same, except that values passed between
// two operators are rounded.
#ifndef FLAME_MODEL_KERNELS_PORTABLE_KERNELS_H_
#define FLAME_MODEL_KERNELS_PORTABLE_KERNELS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "model/kernels/quantized_matrix.h"

namespace flame::portable {

std::pair<at::Tensor, at::Tensor> RmsNorm(const at::Tensor& x, const at::Tensor& weight,
                                          double eps);
std::pair<at::Tensor, at::Tensor> RmsNormBackward(const at::Tensor& grad_y, const at::Tensor& x,
                                                  const at::Tensor& weight,
                                                  const at::Tensor& inverse_rms,
                                                  const at::Tensor& residual);
void Rotate(at::Tensor* x, const at::Tensor& cosine, const at::Tensor& sine, bool inverse);
at::Tensor SwiGlu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor SwiGluBackward(const at::Tensor& grad, at::Tensor* gate, at::Tensor* up);
// Gives the same mask as the CPU's, bit for bit.
at::Tensor Dropout(const at::Tensor& x, double p, uint64_t seed, uint32_t map,
                   const at::Tensor& rows);

// Gives the same result as the CPU's, bit for bit. matrix.levels must be where its codes are.
at::Tensor Dequantize(const QuantizedMatrix& matrix, at::ScalarType dtype);

}  // namespace flame::portable

#endif  // FLAME_MODEL_KERNELS_PORTABLE_KERNELS_H_
