// Dropout whose masks do not depend on how examples are dealt to ranks and cut into passes.
#ifndef FLAME_ENCODERS_DROPOUT_H_
#define FLAME_ENCODERS_DROPOUT_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace flame {

// Returns x [n, d] with each element zeroed with probability p and the others divided by 1 - p. The
// mask is a function of (seed, mask, row, column); see Dropout in model/kernels/kernels.h. `rows`
// is int64 [n].
at::Tensor DropOut(const at::Tensor& x, double p, uint64_t seed, uint32_t mask,
                   const at::Tensor& rows);

}  // namespace flame

#endif  // FLAME_ENCODERS_DROPOUT_H_
