// The exchanges of every collective, phase by phase, as one rank makes them. Pointers must stay
// valid until the collective is done. A share is the part of a tensor that one rank reduces or
// passes on.
#ifndef FLAME_COMM_SCHEDULE_H_
#define FLAME_COMM_SCHEDULE_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/collective.h"

namespace flame {

struct Place {
  int rank = 0, size = 1;
};

// Sends the `num_bytes` at `from` to every other rank and receives those of rank r at
// to + r * num_bytes. Does not write this rank's own part of `to`.
Phase SpreadToAll(Place place, const void* from, size_t num_bytes, char* to);

// Every rank receives the small tensors of all ranks whole and reduces them. Each rank reduces a
// share of a large tensor.
std::vector<Phase> AllReducePhases(Place place, const at::Tensor& tensor, ReduceOp op);

// Reduces input [size * n] to output [n].
std::vector<Phase> ReduceScatterPhases(Place place, const at::Tensor& output,
                                       const at::Tensor& input, ReduceOp op);

// The root sends a small tensor whole. It cuts a large tensor into shares and sends one to each
// rank, and the ranks exchange their shares, so that the root's link is not the bottleneck. Every
// rank answers the root with a header, and the root is done once all have answered.
std::vector<Phase> BroadcastPhases(Place place, const at::Tensor& tensor, int root);

}  // namespace flame

#endif  // FLAME_COMM_SCHEDULE_H_
