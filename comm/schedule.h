// What each rank exchanges with whom, phase by phase, for every collective. Pointers must stay
// valid until the collective is done. A share is the part of a tensor that one rank takes care of.
#ifndef FLAME_COMM_SCHEDULE_H_
#define FLAME_COMM_SCHEDULE_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "comm/collective.h"

namespace flame {

struct Place {
  int rank = 0, size = 1;
};

// Each rank's `num_bytes` at `from` go to everyone: those of rank r to to + r * num_bytes. The own
// part is left alone.
Phase SpreadToAll(Place place, const void* from, size_t num_bytes, char* to);

// Small tensors travel whole and every rank sums them; of large ones each rank sums a share.
std::vector<Phase> AllReducePhases(Place place, const at::Tensor& tensor, ReduceOp op);

// input [size * n] -> output [n].
std::vector<Phase> ReduceScatterPhases(Place place, const at::Tensor& output,
                                       const at::Tensor& input, ReduceOp op);

// The root sends a small tensor whole; of a large one it sends a share to each rank, and these
// spread it, so that the root's link is not the bottleneck. Everyone answers the root with a
// header: the root is done once all have come.
std::vector<Phase> BroadcastPhases(Place place, const at::Tensor& tensor, int root);

}  // namespace flame

#endif  // FLAME_COMM_SCHEDULE_H_
