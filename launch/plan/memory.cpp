#include "launch/plan/memory.h"

#include <algorithm>

#include "model/head.h"
#include "model/parameter_units.h"
#include "model/shapes.h"
#include "trainer/sharding/flat_unit.h"

namespace flame {
namespace {

// The walk of one update, with the state that its parts share.
class UpdateWalk {
 public:
  UpdateWalk(const PlannedModel& model, const PlannedLearners& learners, const TrainingShape& shape,
             Ledger* ledger)
      : model_(model),
        learners_(learners),
        shape_(shape),
        ledger_(ledger),
        units_(UnitsOf(model)) {}

  void Run() {
    const Resident resident = ResidentOf(model_, learners_);
    auto frozen = ledger_->Take(Part::kFrozen, resident.frozen);
    auto trainable = ledger_->Take(Part::kTrainable, resident.trainable);
    auto gradients = ledger_->Take(Part::kGradients, resident.gradients);
    // Two moments of the elements that this rank updates. Validation also keeps the best weights,
    // and rollouts that run ahead the versions that they sample under.
    auto optimizer = ledger_->Take(Part::kOptimizer,
                                   resident.optimizer + resident.versions + BestBytes(resident));
    // A checkpoint copies parameters, moments, best weights and versions, and is written while
    // steps go on.
    auto checkpoint =
        ledger_->Take(Part::kCheckpoint, shape_.checkpoint ? CheckpointBytes(resident) : 0);
    std::vector<Ledger::Held> pools = GradientPools();
    Pass();
    Update();
  }

 private:
  int64_t CheckpointBytes(const Resident& resident) const {
    return 3 * resident.shards + resident.versions + BestBytes(resident);
  }
  int64_t BestBytes(const Resident& resident) const {
    return shape_.best_weights ? resident.shards : 0;
  }
  bool Split() const { return learners_.splits() && learners_.shard_size() > 1; }

  // Returns the bytes that a unit has while it is gathered; 0 if units are not split.
  int64_t GatheredBytes(int64_t index) const {
    if (!Split()) return 0;
    int64_t bytes = 0;
    for (const PlannedUnit& unit : units_) {
      if (unit.index != index) continue;
      bytes += UnitElements(unit.trainable, learners_.shard_size()) * model_.wide_bytes();
      if (learners_.sharding.reshard) bytes += FrozenBytes(unit);
    }
    return bytes;
  }
  int64_t FrozenBytes(const PlannedUnit& unit) const {
    return UnitElements(unit.frozen, learners_.shard_size()) * model_.item_bytes;
  }
  int64_t TrainableBytes(int64_t index) const {
    for (const PlannedUnit& unit : units_) {
      if (unit.index == index) {
        return UnitElements(unit.trainable, learners_.shard_size()) * model_.wide_bytes();
      }
    }
    return 0;
  }

  // Takes the whole gradients of split units. Those of embedding, head and norm exist during a
  // pass, those of a block from its backward until they are reduced, with two reductions in flight.
  // Each comes with its reduced shard. The pool keeps all of them for the next pass.
  std::vector<Ledger::Held> GradientPools() {
    std::vector<Ledger::Held> held;
    if (!Split()) return held;
    const int64_t n = learners_.shard_size(), layers = model_.config.num_layers;
    const auto take = [&](int64_t bytes) {
      held.push_back(ledger_->Take(Part::kGradients, bytes));
    };
    for (const int64_t index : {kEmbeddingUnit, HeadUnit(layers), NormUnit(layers)}) {
      take(TrainableBytes(index) + TrainableBytes(index) / n);
    }
    take(std::min<int64_t>(3, layers) * TrainableBytes(1));
    take(std::min<int64_t>(2, layers) * TrainableBytes(1) / n);
    // Receive buffers of the two reductions in flight.
    held.push_back(ledger_->Take(Part::kScratch,
                                 std::min<int64_t>(2, layers) * TrainableBytes(1) * (n - 1) / n));
    return held;
  }

  void Pass() {
    const int64_t layers = model_.config.num_layers, t = shape_.pass.tokens;
    const int64_t row = model_.config.d_model * model_.item_bytes;
    auto angles =
        ledger_->Take(Part::kActivations, t * model_.config.head_dim * model_.wide_bytes());
    auto slots = ledger_->Take(Part::kActivations, SlotBytes());
    auto two_blocks =
        ledger_->Take(Part::kGathered, std::min<int64_t>(2, layers) * GatheredBytes(1));
    // A block's input stays until the block's backward. Without recomputation, so does its tape.
    std::vector<Ledger::Held> inputs, tapes;
    inputs.push_back(ledger_->Take(Part::kActivations, t * row));
    for (int64_t layer = 0; layer < layers; ++layer) {
      const bool last = layer + 1 == layers;
      tapes.push_back(
          WalkBlockForward(model_, shape_.pass, last, !shape_.recompute, shape_.dropout, ledger_));
      inputs.push_back(ledger_->Take(Part::kActivations, (last ? shape_.pass.asked : t) * row));
    }
    auto hidden = ledger_->Take(Part::kHead, shape_.pass.asked * row);
    two_blocks.Free();
    auto table_gradient = Head();
    auto blocks = ledger_->Take(Part::kGathered, std::min<int64_t>(2, layers) * GatheredBytes(1));
    // The gradient through the final norm and the zeros that it is added to.
    ledger_->Touch(Part::kHead, 3 * shape_.pass.asked * row);
    inputs.pop_back();
    BlocksBackward(&inputs, &tapes);
    // The embedding's gradient is first made dense, then added.
    if (model_.full) ledger_->Touch(Part::kHead, TableBytes());
    if (!model_.slots.empty()) ledger_->Touch(Part::kActivations, 2 * t * row);
  }

  void BlocksBackward(std::vector<Ledger::Held>* inputs, std::vector<Ledger::Held>* tapes) {
    const int64_t layers = model_.config.num_layers;
    const int64_t row = model_.config.d_model * model_.item_bytes;
    for (int64_t layer = layers; layer-- > 0;) {
      const bool last = layer + 1 == layers;
      auto grad_output =
          ledger_->Take(Part::kActivations, (last ? shape_.pass.asked : shape_.pass.tokens) * row);
      if (shape_.recompute) {
        tapes->back() =
            WalkBlockForward(model_, shape_.pass, last, /*keep=*/true, shape_.dropout, ledger_);
      }
      int64_t made = 0;
      for (const PlannedUnit& unit : units_) {
        if (unit.index == 1 + layer) made = Elements(unit.trainable) * model_.wide_bytes();
      }
      WalkBlockBackward(model_, shape_.pass, last, shape_.dropout, made, ledger_);
      tapes->pop_back();
      inputs->pop_back();
    }
  }

  // Returns the bytes of the embedding table; an untied head has the same size.
  int64_t TableBytes() const {
    return model_.config.vocab_size * model_.config.d_model * model_.item_bytes;
  }

  // Walks the head in chunks of c rows (model/head.cpp). The forward holds a chunk's logits and
  // their exponentials. The backward holds a chunk's logits, in two types if the weight is
  // bfloat16, its rows and their gradients, beside the gradients of the hidden states and, if it is
  // trained, of the weight. Returns the weight gradient of a tied table, which stays until the
  // embedding's own gradient exists.
  Ledger::Held Head() {
    const int64_t v = model_.config.vocab_size, d = model_.config.d_model;
    const int64_t c = std::min(HeadChunkRows(v), shape_.pass.targets), wide = model_.wide_bytes();
    const bool tied = model_.config.tie_embeddings;
    auto whole =
        ledger_->Take(Part::kGathered,
                      tied ? GatheredBytes(0)
                           : GatheredBytes(HeadUnit(model_.config.num_layers)) + GatheredBytes(1));
    ledger_->Touch(Part::kHead, 2 * c * v * wide + c * d * model_.item_bytes);
    auto grad_hidden = ledger_->Take(Part::kHead, shape_.pass.asked * d * wide);
    auto grad_weight = ledger_->Take(Part::kHead, model_.full ? TableBytes() : 0);
    const int64_t narrow = wide == model_.item_bytes ? 0 : model_.item_bytes;
    ledger_->Touch(Part::kHead, c * v * (wide + narrow) + c * d * (model_.item_bytes + wide));
    if (tied) return grad_weight;
    return {};
  }

  // Returns the bytes of projected slots: hidden values before and after the GELU, and the vectors.
  // A family has one slot of visits, which is too little to count.
  int64_t SlotBytes() const {
    int64_t numbers = 0;
    for (const PlannedSlots& s : model_.slots) {
      if (!s.borrowed) numbers += s.count * (2 * s.hidden + model_.config.d_model);
    }
    return numbers * model_.wide_bytes();
  }

  // Walks the update after the last pass. Whole gradients are reduced all at once, each with a
  // buffer for the other ranks' shares (comm/schedule.cpp). The norm converts one unit's gradients
  // at a time to float64.
  void Update() {
    const int64_t n = learners_.count;
    int64_t all = 0, largest = 0;
    for (const PlannedUnit& unit : units_) {
      const int64_t size = UnitElements(unit.trainable, learners_.shard_size());
      all += size * model_.wide_bytes();
      largest = std::max(largest, size / learners_.shard_size());
    }
    if (n > 1 && !learners_.splits()) ledger_->Touch(Part::kScratch, all * (n - 1) / n);
    // The run's last step is always saved, so that a copy is written at least once.
    if (!shape_.checkpoint) {
      ledger_->Touch(Part::kCheckpoint, CheckpointBytes(ResidentOf(model_, learners_)));
    }
    if (model_.wide_bytes() < 8) ledger_->Touch(Part::kOptimizer, largest * 8);
  }

  const PlannedModel& model_;
  const PlannedLearners& learners_;
  const TrainingShape& shape_;
  Ledger* ledger_;
  std::vector<PlannedUnit> units_;
};

}  // namespace

const char* PartName(Part part) {
  static constexpr const char* kNames[kNumParts] = {
      "frozen weights",  "trainable weights",    "gathered units", "gradients",
      "optimizer state", "checkpoint copy",      "activations",    "head",
      "KV cache",        "communication buffers"};
  return kNames[static_cast<size_t>(part)];
}

int64_t Elements(const std::vector<int64_t>& tensors) {
  int64_t sum = 0;
  for (const int64_t tensor : tensors) sum += tensor;
  return sum;
}

std::vector<PlannedUnit> UnitsOf(const PlannedModel& model) {
  const int64_t layers = model.config.num_layers;
  std::vector<PlannedUnit> units(NormUnit(layers) + 2);
  for (size_t i = 0; i < units.size(); ++i) units[i].index = static_cast<int64_t>(i) - 1;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, bool trainable) {
    PlannedUnit& unit = units[UnitOfParameter(name, model.config) + 1];
    const int64_t elements = shape[0] * (shape.size() == 2 ? shape[1] : 1);
    if (model.quantization != Quantization::kNone && name.ends_with("_proj.weight")) {
      unit.quantized_bytes += QuantizedBytes(model.quantization, shape[0], shape[1]);
    } else {
      (trainable ? unit.trainable : unit.frozen).push_back(elements);
    }
  };
  for (const auto& [name, shape] : BaseShapes(model.config)) add(name, shape, model.full);
  if (model.has_adapters) {
    for (const auto& [name, shape] :
         AdapterShapes(model.config, model.lora.targets, model.lora.rank)) {
      add(name, shape, true);
    }
  }
  for (const PlannedSlots& s : model.slots) {
    auto& projector = model.adapters_only ? units[0].frozen : units[0].trainable;
    projector.insert(projector.end(), {s.hidden * s.dim, s.hidden, model.config.d_model * s.hidden,
                                       model.config.d_model});
    units[0].frozen.push_back(s.count * s.dim);
  }
  return units;
}

int64_t PlannedLearners::shard_size() const {
  if (sharding.policy == Sharding::kNone) return 1;
  if (sharding.policy == Sharding::kHybrid && sharding.group > 0)
    return std::min(sharding.group, count);
  return count;
}

bool PlannedLearners::splits() const { return SplitsParameters(sharding.policy); }

PassShape ShapeOf(const FamilyBatch& batch) {
  PassShape shape;
  shape.tokens = batch.tokens.numel();
  shape.asked = batch.asked_rows.numel();
  shape.targets = batch.targets.numel();
  for (const FamilyLayout& family : batch.families) {
    int64_t queries = family.trunk.size;
    for (const Span& branch : family.branches) queries += branch.size;
    if (queries < shape.family_queries) continue;
    shape.family_queries = queries;
    shape.family_trunk = family.trunk.size;
  }
  return shape;
}

Resident ResidentOf(const PlannedModel& model, const PlannedLearners& learners) {
  const int64_t n = learners.shard_size(), wide = model.wide_bytes();
  Resident total;
  for (const PlannedUnit& unit : UnitsOf(model)) {
    const bool split = learners.splits() && unit.index >= 0;
    const int64_t trainable = UnitElements(unit.trainable, n) * wide;
    total.trainable += split ? trainable / n : trainable;
    total.gradients += split ? trainable / n : trainable;
    total.shards += trainable / n;
    const bool reshard = split && learners.sharding.reshard;
    total.frozen += unit.quantized_bytes;
    total.frozen += reshard ? UnitElements(unit.frozen, n) * model.item_bytes / n
                            : Elements(unit.frozen) * model.item_bytes;
  }
  total.optimizer = learners.sharding.offload_optimizer ? 0 : 2 * total.shards;
  total.versions = learners.kept_versions * total.shards;
  return total;
}

void WalkUpdate(const PlannedModel& model, const PlannedLearners& learners,
                const TrainingShape& shape, Ledger* ledger) {
  UpdateWalk(model, learners, shape, ledger).Run();
}

}  // namespace flame
