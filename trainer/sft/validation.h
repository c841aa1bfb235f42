// Validation during SFT: the loss on held-out examples every so many steps, the best weights, and
// when to stop.
#ifndef FLAME_TRAINER_SFT_VALIDATION_H_
#define FLAME_TRAINER_SFT_VALIDATION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "comm/communicator.h"
#include "model/policy.h"
#include "trainer/micro_batch.h"
#include "trainer/optimizer/adamw.h"

namespace flame {

// Decisions from the losses so far, and nothing else: a resumed run decides the same.
class EarlyStopping {
 public:
  // Evaluations fall after steps every, 2 * every, ... and after the last of `steps`. every 0:
  // none.
  EarlyStopping(int64_t every, int64_t patience, int64_t steps);

  bool Due(int64_t step) const;  // after `step` updates
  // Returns whether the loss is below all before. Throws MachineError unless it is finite.
  bool Record(double loss);
  // Takes over `losses()` as resumed at `step`.
  void Resume(int64_t step);

  int64_t count() const { return count_; }  // evaluations made
  int64_t best_step() const;                // of the lowest loss, the earliest; 0: none yet
  double best_loss() const;                 // of that step
  // The last `patience` evaluations did not go below the best before them; never with patience 0.
  bool stopped() const;
  bool stopped_early() const;  // and there were evaluations to come
  int64_t StepOf(int64_t evaluation) const;
  double LossOf(int64_t evaluation) const;
  // float64 [evaluations of the whole run], NaN where not made yet; shares storage.
  at::Tensor losses() const { return losses_; }

 private:
  int64_t every_, patience_, steps_;
  int64_t count_ = 0, best_ = -1;
  at::Tensor losses_;
};

// Mean negative log-likelihood of the asked-for tokens of `families`, whatever their weights in
// training. Micro-batches are cut over all families and dealt to learners, and their sums added in
// order, so that equal weights give equal bits on any number of learners.
class ValidationSet {
 public:
  // Throws DataError unless a family asks for a token.
  ValidationSet(const std::vector<Family>& families, int64_t token_budget);
  double Loss(const Policy& policy, Communicator* learners) const;

 private:
  std::vector<MicroBatch> micro_batches_;
  int64_t tokens_ = 0;  // asked for
};

// Copies of tensors, taken when they are best.
class BestWeights {
 public:
  explicit BestWeights(const NamedTensors& parameters);
  void Keep();
  void Restore();
  const NamedTensors& tensors() const { return best_; }

 private:
  NamedTensors parameters_, best_;
};

// folder/validation.json: {"best_step", "best_loss", "stopped_early", "evaluations": [{"step",
// "loss"}]}.
void WriteValidation(const EarlyStopping& evaluations, const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_VALIDATION_H_
