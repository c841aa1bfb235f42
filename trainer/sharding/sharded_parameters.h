// A policy's parameters, their gradients and the optimizer's view of both, split over learners.
#ifndef FLAME_TRAINER_SHARDING_SHARDED_PARAMETERS_H_
#define FLAME_TRAINER_SHARDING_SHARDED_PARAMETERS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/parameter_units.h"
#include "model/policy.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/sharding/flat_unit.h"
#include "trainer/sharding/sharding.h"

namespace flame {

// One flat buffer a unit for trainable and one for frozen tensors. Under `full` and `hybrid` a rank
// keeps its shard and gathers a unit before its use, the next one while this one computes; a unit's
// gradients are reduced onto shards while the backward goes on. Under `none` and `optimizer`
// parameters stay whole and gradients meet once an update. Tensors of no unit
// (projectors, quantised maps) always stay whole. Sums run in rank order: the same bits in every
// run.
//
// An update: BeginUpdate; for each pass of forwards and a backward BeginPass, ..., EndPass;
// FinishGradients; the optimizer on shards() and gradients(); Publish. Every learner makes the same
// calls, and as many passes.
class ShardedParameters : public ParameterUnits {
 public:
  // Collective. The policy's tensors become views of flat buffers, and the policy asks this object
  // for its units. Of a policy that was opened and not read, a rank reads what it keeps. Throws
  // UsageError if nothing is trainable or dtypes differ.
  ShardedParameters(Policy* policy, const NamedTensors& trainable, const ShardingOptions& options,
                    Communicator* learners, Communicator* on_device = nullptr);
  // Leaves the policy without what other ranks hold.
  ~ShardedParameters() override;

  void BeginUpdate();
  void BeginPass();
  void EndPass();
  void FinishGradients();
  void Publish();

  // By the unit's name, flat. The optimizer's state is one such tensor each.
  const NamedTensors& shards() const { return shards_; }
  const NamedTensors& gradients() const { return gradients_; }
  // 2-norm of all gradients, over all shards; collective. After FinishGradients.
  double GradientNorm() const;
  void ScaleGradients(double factor);

  // What this rank holds of flat tensors laid out as shards(), by their parameters' names with
  // `prefix` in front; of all of them, though it may be nothing.
  void AddSlices(const std::string& prefix, const NamedTensors& flat,
                 std::vector<CheckpointSlice>* slices) const;
  // One of the replicas of a shard does.
  bool writes() const { return groups_.replica_rank() == 0; }

  // Copies the trainable tensors, whole, into those of `into`, or on this learner nowhere where it
  // is empty; collective.
  void CopyTrainable(const NamedTensors& into);
  // Most bytes of parameters that this rank held at a time, shards and gathered units.
  int64_t peak_parameter_bytes() const;

  void Acquire(int64_t unit, Pass pass, int64_t next) override;
  void Release(int64_t unit, Pass pass) override;

 private:
  struct Unit;
  void AddUnit(int64_t index, bool trainable, const NamedTensors& tensors);
  bool Splits(const Unit& unit) const;
  at::Tensor ShardOf(const at::Tensor& whole) const;
  void TakeValues(Unit* unit, const at::Tensor& into, int64_t first);
  void StartGather(Unit* unit);
  void FinishGather(Unit* unit);
  void Free(Unit* unit);
  void TakeGradients(Unit* unit);
  void StartReduce(Unit* unit);
  void FinishReduce();
  template <class Body>
  void ForEachOf(int64_t unit, const Body& body);

  Policy* policy_;
  ShardGroups groups_;
  std::vector<std::unique_ptr<Unit>> units_;
  std::multimap<int64_t, Unit*> by_index_;
  BufferPool parameters_pool_, gradients_pool_;
  struct Reduction;
  std::deque<Reduction> reductions_;
  NamedTensors shards_, gradients_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_SHARDING_SHARDED_PARAMETERS_H_
