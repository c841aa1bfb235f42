// What a rank needs to train and to sample, from shapes alone: the allocations of the program in
// their order, without the tensors. The derivation of every figure stands in plan_memory.cpp and
// plan_block.cpp beside the code that it mirrors. CPU figures: a GPU's attention keeps as much, its
// collectives no scratch on the host.
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
};

struct PlannedModel {
  PolicyConfig config;
  int64_t item_bytes = 4;  // of weights and activations; what is trained has at least 4
  Quantization quantization = Quantization::kNone;
  bool full = false;  // all weights are trained; else adapters
  bool has_adapters = true;
  LoraOptions lora;
  std::vector<PlannedSlots> slots;  // projectors, trained unless `adapters_only`
  bool adapters_only = false;
  int64_t wide_bytes() const { return item_bytes < 4 ? 4 : item_bytes; }
};

// Elements of the trainable and frozen tensors of one unit (model/parameter_units.h; -1: of none),
// and the bytes of its maps that are quantised.
struct PlannedUnit {
  int64_t index = -1;
  std::vector<int64_t> trainable, frozen;  // a tensor each
  int64_t quantized_bytes = 0;
};
std::vector<PlannedUnit> UnitsOf(const PlannedModel& model);
int64_t Elements(const std::vector<int64_t>& tensors);

struct PlannedLearners {
  ShardingOptions sharding;
  int64_t count = 1;
  int64_t kept_versions = 0;   // older ones, for rollouts that run ahead (grpo.staleness)
  int64_t shard_size() const;  // ranks whose shards make up a whole
  bool splits() const;         // parameters and gradients are split
};

// Sizes of a micro-batch.
struct PassShape {
  int64_t tokens = 0, asked = 0, targets = 0;    // T, Q, N of FamilyBatch
  int64_t family_queries = 0, family_trunk = 0;  // of the largest family
};
PassShape ShapeOf(const FamilyBatch& batch);

struct TrainingShape {
  PassShape pass;  // the largest
  bool recompute = false, dropout = false, entropy = false;
  bool best_weights = false;  // validation keeps a copy
  bool checkpoint = false;    // one is being written while a step runs
};

// Bytes that stay for the whole stage.
struct Resident {
  int64_t frozen = 0, trainable = 0, gradients = 0;
  int64_t optimizer = 0;  // moments: 0 where they lie in the host's memory
  int64_t shards = 0;     // the trainable elements that this rank updates, in the parameters' type
  int64_t versions = 0;   // copies of those
};
Resident ResidentOf(const PlannedModel& model, const PlannedLearners& learners);

// Walks one update of one pass, as ShardedParameters, Policy, Block and AdamW do it.
void WalkUpdate(const PlannedModel& model, const PlannedLearners& learners,
                const TrainingShape& shape, Ledger* ledger);

// One block of the forward; gives what stays until its backward.
Ledger::Held WalkBlockForward(const PlannedModel& model, const PassShape& pass, bool last,
                              bool keep, bool dropout, Ledger* ledger);
// One block of the backward, its tape apart.
void WalkBlockBackward(const PlannedModel& model, const PassShape& pass, bool last, bool dropout,
                       int64_t gradient_bytes, Ledger* ledger);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_MEMORY_H_
