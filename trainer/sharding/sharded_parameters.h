// A model's parameters and their gradients split over learners, as the optimizer sees them.
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
#include "model/sharded_model.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/sharding/flat_unit.h"
#include "trainer/sharding/sharding.h"

namespace flame {

// The unit of the trainable tensors that have none of the model's: a policy's entity projectors,
// and all tensors of a small model.
inline constexpr char kOtherUnit[] = "others";

// Each unit has one flat buffer for its trainable and one for its frozen tensors. Under `full` and
// `hybrid` a rank keeps its shard of every unit and gathers a unit before its use, while the unit
// before it computes; a unit's gradients are reduced onto shards while the backward goes on. Under
// `none` and `optimizer` parameters stay whole, and gradients are reduced once per update. Tensors
// that belong to no unit (projectors, quantised maps) always stay whole. Sums run in rank order, so
// every run gives the same bits.
//
// An update calls BeginUpdate; BeginPass, forwards and a backward, EndPass for each pass;
// FinishGradients; the optimizer on shards() and gradients(); Publish. Every learner makes the same
// calls and the same number of passes.
class ShardedParameters : public ParameterUnits {
 public:
  // Collective. Turns the model's tensors into views of flat buffers and attaches itself to the
  // model as its ParameterUnits. If the model was opened but not read, a rank reads only what it
  // keeps. Throws UsageError if nothing is trainable or the trainable tensors' dtypes differ.
  ShardedParameters(ShardedModel* model, const NamedTensors& trainable,
                    const ShardingOptions& options, Communicator* learners,
                    Communicator* on_device = nullptr);
  // Leaves the model without the parameters that other ranks hold.
  ~ShardedParameters() override;

  void BeginUpdate();
  void BeginPass();
  void EndPass();
  void FinishGradients();
  void Publish();

  // This rank's flat shards by unit name. Each part of the optimizer's state has the same layout.
  const NamedTensors& shards() const { return shards_; }
  const NamedTensors& gradients() const { return gradients_; }
  // Returns the 2-norm of all gradients, over all shards. Collective; call after FinishGradients.
  double GradientNorm() const;
  void ScaleGradients(double factor);

  // Appends one slice per trainable parameter: this rank's part, possibly empty, of `flat`, which
  // is laid out as shards(). A slice's name is `prefix` and the parameter's name.
  void AddSlices(const std::string& prefix, const NamedTensors& flat,
                 std::vector<CheckpointSlice>* slices) const;
  // True if this rank writes its shard to checkpoints: one of the shard's replicas does.
  bool writes() const { return groups_.replica_rank() == 0; }

  // Copies the whole trainable tensors into those of `into`; if it is empty, this learner only
  // takes part in the gathering. Collective.
  void CopyTrainable(const NamedTensors& into);
  // Most bytes of parameters, shards and gathered units, that this rank held at a time.
  int64_t peak_parameter_bytes() const;

  void Acquire(int64_t unit, Pass pass, int64_t next) override;
  void Release(int64_t unit, Pass pass) override;

 private:
  struct Unit;
  void AddUnit(int64_t index, bool trainable, const NamedTensors& tensors);
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

  ShardedModel* model_;
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
