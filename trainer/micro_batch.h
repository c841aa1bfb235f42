// Cuts the families of a step into micro-batches that fit a token budget.
#ifndef FLAME_TRAINER_MICRO_BATCH_H_
#define FLAME_TRAINER_MICRO_BATCH_H_

#include <cstdint>
#include <vector>

#include "model/family.h"

namespace flame {

// The origin of a micro-batch's branch.
struct BranchPlace {
  int64_t family = 0, branch = 0;  // indices into the families that were cut
};

struct MicroBatch {
  std::vector<Family> families;
  std::vector<BranchPlace> branches;  // one per branch, in packed order
  int64_t num_tokens = 0;
};

// Packs families in order, each into the first micro-batch that has room for it within
// `token_budget`. If the longest families come first, all micro-batches but the last are nearly
// full. A family larger than the budget is split by branches, and each part has the whole trunk. A
// trunk with one branch is never split, even if it exceeds the budget. Families without branches
// are left out, because they have no loss. Losses that are sums over tokens do not depend on the
// cuts.
std::vector<MicroBatch> CutMicroBatches(const std::vector<Family>& families, int64_t token_budget);

// Returns a micro-batch that asks for no log-probability. A learner with fewer micro-batches than
// another runs it, because gathering split parameters takes a forward of every learner.
MicroBatch IdlePass();

}  // namespace flame

#endif  // FLAME_TRAINER_MICRO_BATCH_H_
