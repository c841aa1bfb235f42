// The arithmetic of reductions.
#ifndef FLAME_COMM_REDUCE_H_
#define FLAME_COMM_REDUCE_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Computes out[i] = parts[0][i] op parts[1][i] op ..., always in this order, so the result has the
// same bits on every machine. `out` may be one of the parts. kMax and kMin pass NaN on. `dtype` is
// float32, float64, bfloat16 (summed in float32, rounded once), int32, int64 or uint8. Throws
// MachineError on any other dtype.
void ReduceInOrder(at::ScalarType dtype, ReduceOp op, const std::vector<const void*>& parts,
                   int64_t num_elements, void* out);

}  // namespace flame

#endif  // FLAME_COMM_REDUCE_H_
