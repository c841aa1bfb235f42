#include "trainer/sharding/sharded_parameters.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/trace.h"
#include "trainer/optimizer/clip.h"

namespace flame {
namespace {

// Most reductions in flight; each holds a unit's gradients in memory.
constexpr size_t kReductions = 2;

std::string UnitName(int64_t index, bool trainable) {
  char name[48];
  std::snprintf(name, sizeof(name), "unit-%03lld.%s", static_cast<long long>(index),
                trainable ? "trainable" : "frozen");
  return index < 0 ? kOtherUnit : name;
}

using Works = std::vector<std::unique_ptr<Work>>;

// Starts the collectives that `start` adds to the works as one group, and waits for them. Does
// nothing if `ranks` is null.
template <class Start>
void Together(Communicator* ranks, const Start& start) {
  if (ranks == nullptr) return;
  Works works;
  ranks->BeginGroup();
  start(ranks, &works);
  ranks->EndGroup();
  for (const auto& work : works) work->Wait();
}

void CheckTrainable(const NamedTensors& trainable) {
  if (trainable.empty()) throw UsageError("training: the model has no trainable tensor");
  const auto& [first, like] = *trainable.begin();
  for (const auto& [name, tensor] : trainable) {
    if (tensor.scalar_type() == like.scalar_type()) continue;
    throw UsageError("training: '", name, "' is ", c10::toString(tensor.scalar_type()), ", '",
                     first, "' is ", c10::toString(like.scalar_type()),
                     "; trainable tensors have one dtype");
  }
}

}  // namespace

struct ShardedParameters::Unit {
  Unit(std::string name, bool is_block, UnitLayout laid_out, bool trainable)
      : name(std::move(name)),
        is_block(is_block),
        layout(std::move(laid_out)),
        trainable(trainable),
        whole(layout.size, layout.members.front().tensor.options().requires_grad(false)) {
    if (trainable) gradient = std::make_unique<HollowTensor>(layout.size, whole.tensor().options());
  }

  std::string name;
  bool is_block;  // true: one of many units of equal size
  UnitLayout layout;
  bool trainable, always_whole = false;
  HollowTensor whole;
  at::Tensor shard;                        // has its own memory, or is a view of `whole`
  std::unique_ptr<HollowTensor> gradient;  // gradient of the whole unit
  at::Tensor gradient_shard;               // has its own memory, or is a view of `gradient`
  std::unique_ptr<Work> gather;            // in flight; null: none
};

struct ShardedParameters::Reduction {
  Unit* unit;
  at::Tensor part;  // this rank's shard of the sum over ranks
  std::unique_ptr<Work> work;
};

ShardedParameters::ShardedParameters(ShardedModel* model, const NamedTensors& trainable,
                                     const ShardingOptions& options, Communicator* learners,
                                     Communicator* on_device)
    : model_(model), groups_(options, model->device(), learners, on_device) {
  CheckTrainable(trainable);
  std::map<int64_t, NamedTensors> chosen, frozen;
  for (const auto& [name, tensor] : model->parameters()) {
    const int64_t index = model->UnitOf(name);
    if (trainable.contains(name)) {
      chosen[index].emplace(name, tensor);
    } else if (index >= 0 && groups_.splits_parameters() && groups_.reshard_frozen()) {
      frozen[index].emplace(name, tensor);
    }
  }
  for (const auto& [index, tensors] : chosen) AddUnit(index, /*trainable=*/true, tensors);
  for (const auto& [index, tensors] : frozen) AddUnit(index, /*trainable=*/false, tensors);
  model_->ReadStored();
  model_->AttachUnits(this);
}

ShardedParameters::~ShardedParameters() {
  model_->AttachUnits(nullptr);
  for (const auto& unit : units_) {
    if (!unit->trainable) continue;
    for (UnitMember& member : unit->layout.members) member.tensor.mutable_grad() = at::Tensor();
  }
}

void ShardedParameters::AddUnit(int64_t index, bool trainable, const NamedTensors& tensors) {
  const bool is_block = model_->IsBlock(index);
  units_.push_back(std::make_unique<Unit>(UnitName(index, trainable), is_block,
                                          LayOut(tensors, groups_.shard_size()), trainable));
  Unit& unit = *units_.back();
  unit.always_whole = index < 0 || !groups_.splits_parameters() || groups_.shard() == nullptr;
  by_index_.emplace(index, &unit);
  const at::TensorOptions options = unit.whole.tensor().options();
  const int64_t share = unit.layout.size / groups_.shard_size();
  if (unit.always_whole) {
    const at::Tensor whole = at::zeros({unit.layout.size}, options);
    TakeValues(&unit, whole, 0);
    unit.whole.Put(whole);
    unit.shard = ShardOf(unit.whole.tensor());
  } else {
    unit.shard = at::zeros({share}, options);
    TakeValues(&unit, unit.shard, groups_.shard_rank() * share);
  }
  PointMembers(unit.layout, unit.whole.tensor());
  if (!trainable) return;
  if (unit.always_whole) {
    unit.gradient->Put(at::zeros({unit.layout.size}, options));
    unit.gradient_shard = ShardOf(unit.gradient->tensor());
  } else {
    unit.gradient_shard = at::zeros({share}, options);
  }
  PointGradients(unit.layout, unit.gradient->tensor());
  shards_[unit.name] = unit.shard;
  gradients_[unit.name] = unit.gradient_shard;
}

// Copies the unit's elements from `first` on into `into`.
void ShardedParameters::TakeValues(Unit* unit, const at::Tensor& into, int64_t first) {
  const int64_t last = first + into.numel();
  for (const UnitMember& member : unit->layout.members) {
    const int64_t begin = std::clamp(member.offset, first, last);
    const int64_t end = std::clamp(member.offset + member.tensor.numel(), first, last);
    if (begin < end) {
      model_->CopyParameter(member.name, begin - member.offset,
                            into.narrow(0, begin - first, end - begin));
    }
    model_->MarkRead(member.name);
  }
}

at::Tensor ShardedParameters::ShardOf(const at::Tensor& whole) const {
  const int64_t size = whole.numel() / groups_.shard_size();
  return whole.narrow(0, groups_.shard_rank() * size, size);
}

template <class Body>
void ShardedParameters::ForEachOf(int64_t index, const Body& body) {
  const auto [begin, end] = by_index_.equal_range(index);
  for (auto at = begin; at != end; ++at) body(at->second);
}

void ShardedParameters::StartGather(Unit* unit) {
  if (unit->always_whole || unit->whole.there()) return;
  // An embedding table is large: waiting block buffers are not kept next to it.
  if (!unit->is_block) parameters_pool_.DropWaiting();
  unit->whole.Put(parameters_pool_.Get(unit->layout.size, unit->shard.options()));
  unit->gather = groups_.shard()->AllGather(unit->whole.tensor(), unit->shard);
}

void ShardedParameters::FinishGather(Unit* unit) {
  if (unit->gather == nullptr) return;
  const TraceScope trace("wait for " + unit->name);
  std::exchange(unit->gather, nullptr)->Wait();
}

void ShardedParameters::Free(Unit* unit) {
  if (unit->always_whole || !unit->whole.there()) return;
  if (unit->is_block) {
    parameters_pool_.Keep(unit->whole.Take());
  } else {
    parameters_pool_.Drop(unit->whole.Take());
  }
}

void ShardedParameters::Acquire(int64_t index, Pass pass, int64_t next) {
  ForEachOf(index, [&](Unit* unit) { StartGather(unit); });
  ForEachOf(next, [&](Unit* unit) { StartGather(unit); });
  ForEachOf(index, [&](Unit* unit) { FinishGather(unit); });
  if (pass == Pass::kBackward) ForEachOf(index, [&](Unit* unit) { TakeGradients(unit); });
}

void ShardedParameters::Release(int64_t index, Pass pass) {
  ForEachOf(index, [&](Unit* unit) {
    Free(unit);
    if (pass == Pass::kBackward && unit->is_block) StartReduce(unit);
  });
}

void ShardedParameters::TakeGradients(Unit* unit) {
  if (!unit->trainable || unit->gradient->there()) return;
  const at::Tensor& like = unit->gradient_shard;
  unit->gradient->Put(gradients_pool_.Get(unit->layout.size, like.options()));
  unit->gradient->tensor().zero_();
}

void ShardedParameters::StartReduce(Unit* unit) {
  if (!unit->trainable || unit->always_whole || !unit->gradient->there()) return;
  if (reductions_.size() == kReductions) FinishReduce();
  const at::Tensor& shard = unit->gradient_shard;
  Reduction reduction{unit, gradients_pool_.Get(shard.numel(), shard.options()), nullptr};
  reduction.work =
      groups_.shard()->ReduceScatter(reduction.part, unit->gradient->tensor(), ReduceOp::kSum);
  reductions_.push_back(std::move(reduction));
}

void ShardedParameters::FinishReduce() {
  Reduction reduction = std::move(reductions_.front());
  reductions_.pop_front();
  const TraceScope trace("wait for gradients of " + reduction.unit->name);
  reduction.work->Wait();
  reduction.unit->gradient_shard.add_(reduction.part);
  gradients_pool_.Keep(std::move(reduction.part));
  gradients_pool_.Keep(reduction.unit->gradient->Take());
}

void ShardedParameters::BeginUpdate() {
  for (const auto& unit : units_) {
    if (!unit->trainable) continue;
    (unit->always_whole ? unit->gradient->tensor() : unit->gradient_shard).zero_();
  }
}

// Autograd may add gradients of embedding, head and final norm at any time of the pass.
void ShardedParameters::BeginPass() {
  const c10::NoGradGuard no_grad;
  for (const auto& unit : units_) {
    if (!unit->is_block && !unit->always_whole) TakeGradients(unit.get());
  }
}

void ShardedParameters::EndPass() {
  const c10::NoGradGuard no_grad;
  for (const auto& unit : units_) {
    if (!unit->is_block) StartReduce(unit.get());
  }
  while (!reductions_.empty()) FinishReduce();
}

void ShardedParameters::FinishGradients() {
  const c10::NoGradGuard no_grad;
  const TraceScope trace("reduce gradients");
  Together(groups_.shard(), [&](Communicator* ranks, Works* works) {
    for (const auto& unit : units_) {
      if (!unit->trainable || !unit->always_whole) continue;
      works->push_back(
          ranks->ReduceScatter(unit->gradient_shard, unit->gradient->tensor(), ReduceOp::kSum));
    }
  });
  Together(groups_.replica(), [&](Communicator* ranks, Works* works) {
    for (const auto& [name, gradient] : gradients_) {
      works->push_back(ranks->AllReduce(gradient, ReduceOp::kSum));
    }
  });
}

void ShardedParameters::Publish() {
  const TraceScope trace("publish parameters");
  Together(groups_.shard(), [&](Communicator* ranks, Works* works) {
    for (const auto& unit : units_) {
      if (!unit->trainable || !unit->always_whole) continue;
      works->push_back(ranks->AllGather(unit->whole.tensor(), unit->shard));
    }
  });
}

double ShardedParameters::GradientNorm() const {
  const at::Tensor squares = SumOfSquares(gradients_);
  if (groups_.shard() != nullptr) groups_.shard()->AllReduce(squares, ReduceOp::kSum)->Wait();
  return std::sqrt(squares.item<double>());
}

void ShardedParameters::ScaleGradients(double factor) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, gradient] : gradients_) at::Tensor(gradient).mul_(factor);
}

void ShardedParameters::AddSlices(const std::string& prefix, const NamedTensors& flat,
                                  std::vector<CheckpointSlice>* slices) const {
  for (const auto& unit : units_) {
    if (!unit->trainable) continue;
    const at::Tensor& own = flat.at(unit->name);
    const int64_t first = groups_.shard_rank() * own.numel(), last = first + own.numel();
    for (const UnitMember& member : unit->layout.members) {
      const int64_t begin = std::clamp(member.offset, first, last);
      const int64_t end = std::clamp(member.offset + member.tensor.numel(), first, last);
      slices->push_back({prefix + member.name, member.tensor.sizes().vec(),
                         std::max<int64_t>(begin - member.offset, 0),
                         own.narrow(0, begin - first, end - begin)});
    }
  }
}

void ShardedParameters::CopyTrainable(const NamedTensors& into) {
  const c10::NoGradGuard no_grad;
  for (const auto& unit : units_) {
    if (!unit->trainable) continue;
    StartGather(unit.get());
    FinishGather(unit.get());
    for (const UnitMember& member : unit->layout.members) {
      if (!into.empty()) into.at(member.name).copy_(member.tensor.detach());
    }
    Free(unit.get());
  }
}

int64_t ShardedParameters::peak_parameter_bytes() const {
  int64_t bytes = parameters_pool_.peak_bytes();
  for (const auto& unit : units_) {
    bytes +=
        static_cast<int64_t>((unit->always_whole ? unit->whole.tensor() : unit->shard).nbytes());
  }
  return bytes;
}

}  // namespace flame
