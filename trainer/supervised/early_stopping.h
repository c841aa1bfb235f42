// The decision to stop a training early, from the validation loss at regular steps, and the weights
// that had the lowest.
#ifndef FLAME_TRAINER_SUPERVISED_EARLY_STOPPING_H_
#define FLAME_TRAINER_SUPERVISED_EARLY_STOPPING_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "model/named_tensors.h"

namespace flame {

// Decides from the losses so far and nothing else, so that a resumed run decides the same.
class EarlyStopping {
 public:
  // Evaluations are due after steps every, 2 * every, ... and after the last of `steps`. `every` 0
  // means no evaluations.
  EarlyStopping(int64_t every, int64_t patience, int64_t steps);

  // True if an evaluation is due after `step` updates.
  bool Due(int64_t step) const;
  // Returns true if the loss is lower than all before it. Throws MachineError unless it is finite.
  bool Record(double loss);
  // Rebuilds the decisions up to `step` from losses(), which the caller has restored.
  void Resume(int64_t step);

  int64_t count() const { return count_; }  // evaluations made
  int64_t best_step() const;  // the first step with the lowest loss; 0: no evaluation yet
  double best_loss() const;   // the loss at best_step()
  // True if none of the last `patience` evaluations was below the best before them. Never true with
  // patience 0.
  bool stopped() const;
  // True if stopped() and further evaluations were to come.
  bool stopped_early() const;
  int64_t StepOf(int64_t evaluation) const;
  double LossOf(int64_t evaluation) const;
  // float64 [evaluations of the whole run], NaN for those not made yet. Shares storage with this
  // object.
  at::Tensor losses() const { return losses_; }

 private:
  int64_t every_, patience_, steps_;
  int64_t count_ = 0, best_ = -1;
  at::Tensor losses_;
};

// Holds a copy of the parameters at their best.
class BestWeights {
 public:
  explicit BestWeights(const NamedTensors& parameters);
  void Keep();
  void Restore();
  const NamedTensors& tensors() const { return best_; }

 private:
  NamedTensors parameters_, best_;
};

// Writes folder/validation.json: {"best_step", "best_loss", "stopped_early", "evaluations":
// [{"step", "loss"}]}.
void WriteValidation(const EarlyStopping& evaluations, const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_TRAINER_SUPERVISED_EARLY_STOPPING_H_
