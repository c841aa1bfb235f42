// Cuts the families of a step into micro-batches that fit a token budget.
#ifndef FLAME_TRAINER_MICRO_BATCH_H_
#define FLAME_TRAINER_MICRO_BATCH_H_

#include <cstdint>
#include <vector>

#include "model/family.h"

namespace flame {

// Where a branch of a micro-batch comes from.
struct BranchPlace {
  int64_t family = 0, branch = 0;  // indices in the families that were cut
};

struct MicroBatch {
  std::vector<Family> families;
  std::vector<BranchPlace> branches;  // one a branch, in packed order
  int64_t num_tokens = 0;
};

// Packs families in order, each into the first micro-batch where it fits `token_budget`: given
// longest first, all but the last are nearly full. A family larger than the budget is split
// by branches, each part with the whole trunk; a trunk with one branch is never split, even where
// it exceeds the budget. Families without branches are left out: they have no loss. Losses that
// are sums over tokens do not depend on the cuts.
std::vector<MicroBatch> CutMicroBatches(const std::vector<Family>& families, int64_t token_budget);

// One that asks for nothing, for a learner that has fewer micro-batches than another: parameters
// that are split are gathered by all of them.
MicroBatch IdlePass();

}  // namespace flame

#endif  // FLAME_TRAINER_MICRO_BATCH_H_
