// The memory that a rank needs to train and to sample, from shapes alone: the program's allocations
// in their order, without the tensors. memory.cpp and block.cpp derive every figure, step by step
// as in the code that they mirror. Figures are for the CPU. On a GPU, attention keeps the same
// amount of memory, and collectives need no host buffers.
#ifndef FLAME_LAUNCH_PLAN_MEMORY_H_
#define FLAME_LAUNCH_PLAN_MEMORY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "launch/plan/ledger.h"
#include "model/architecture.h"
#include "model/family.h"
#include "model/kernels/quantized.h"
#include "model/options.h"
#include "trainer/sharding/sharding_options.h"

namespace flame {

struct PlannedSlots {
  int64_t count = 0, dim = 0, hidden = 0;
  bool borrowed = false;  // EntitySlots::borrowed
};

struct PlannedModel {
  PolicyConfig config;
  int64_t item_bytes = 4;  // per number of weights and activations; trained numbers have at least 4
  Quantization quantization = Quantization::kNone;
  bool full = false;  // true: all weights are trained; false: only adapters
  bool has_adapters = true;
  LoraOptions lora;
  std::vector<PlannedSlots> slots;  // projectors, trained unless `adapters_only`
  bool adapters_only = false;
  int64_t wide_bytes() const { return item_bytes < 4 ? 4 : item_bytes; }
};

// The tensors of one unit (model/parameter_units.h).
struct PlannedUnit {
  int64_t index = -1;                      // -1: tensors that belong to no unit
  std::vector<int64_t> trainable, frozen;  // elements of each tensor
  int64_t quantized_bytes = 0;             // bytes of the unit's quantised maps
};
std::vector<PlannedUnit> UnitsOf(const PlannedModel& model);
int64_t Elements(const std::vector<int64_t>& tensors);

struct PlannedLearners {
  ShardingOptions sharding;
  int64_t count = 1;
  int64_t kept_versions = 0;   // older versions kept for rollouts that run ahead (grpo.staleness)
  int64_t shard_size() const;  // number of ranks whose shards make up a whole
  bool splits() const;         // true if parameters and gradients are split
};

// Sizes of a micro-batch.
struct PassShape {
  int64_t tokens = 0, asked = 0, targets = 0;    // T, Q and N of FamilyBatch
  int64_t family_queries = 0, family_trunk = 0;  // tokens of the largest family and of its trunk
};
PassShape ShapeOf(const FamilyBatch& batch);

struct TrainingShape {
  PassShape pass;  // the largest pass
  bool recompute = false, dropout = false, entropy = false;
  bool best_weights = false;  // validation keeps a copy of the best weights
  bool checkpoint = false;    // a checkpoint is being written while a step runs
};

// Bytes that stay for the whole stage.
struct Resident {
  int64_t frozen = 0, trainable = 0, gradients = 0;
  int64_t optimizer = 0;  // moments; 0 if they stay in host memory
  int64_t shards = 0;     // the trainable elements that this rank updates, in the parameters' type
  int64_t versions = 0;   // kept_versions copies of `shards`
};
Resident ResidentOf(const PlannedModel& model, const PlannedLearners& learners);

// Walks one update of one pass, as ShardedParameters, Policy, Block and AdamW do it.
void WalkUpdate(const PlannedModel& model, const PlannedLearners& learners,
                const TrainingShape& shape, Ledger* ledger);

// Walks one block's forward. If `keep`, returns the tape that stays until the block's backward. The
// `last` block computes only the asked-for rows.
Ledger::Held WalkBlockForward(const PlannedModel& model, const PassShape& pass, bool last,
                              bool keep, bool dropout, Ledger* ledger);
// Walks one block's backward; the caller holds the block's tape. `gradient_bytes` is the size of
// the gradients of the block's trainable tensors.
void WalkBlockBackward(const PlannedModel& model, const PassShape& pass, bool last, bool dropout,
                       int64_t gradient_bytes, Ledger* ledger);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_MEMORY_H_
