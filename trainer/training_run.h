// What SFT and GRPO share: trainable tensors, their gradients and optimizer, the history of the
// run, and the checkpoints that hold all of it.
#ifndef FLAME_TRAINER_TRAINING_RUN_H_
#define FLAME_TRAINER_TRAINING_RUN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "trainer/adamw.h"
#include "trainer/gradients.h"
#include "trainer/options.h"

namespace flame {

struct TrainingRunOptions {
  std::string label;  // "classifier", for messages
  OptimizerOptions optimizer;
  int64_t steps = 0;  // of the whole run
  int64_t updates_per_step = 1;
  int64_t checkpoint_every = 1;
  uint64_t seed = 0;
  std::filesystem::path folder;
  std::string config_sha256;
  Communicator* learners = nullptr;  // null: one rank
  NamedTensors state;                // the loop's own, saved and resumed with the rest
};

class TrainingRun {
 public:
  // Resumes from the folder's latest checkpoint if there is one. Throws as LoadLatestCheckpoint.
  TrainingRun(const NamedTensors& parameters, TrainingRunOptions options);

  int64_t step() const { return step_; }  // steps done
  bool done() const { return step_ >= options_.steps; }
  int rank() const { return options_.learners == nullptr ? 0 : options_.learners->rank(); }
  int size() const { return options_.learners == nullptr ? 1 : options_.learners->size(); }

  // Clears the gradients; backward passes then add to the parameters' .grad.
  void BeginUpdate() { gradients_.Zero(); }
  struct Update {
    double grad_norm = 0, learning_rate = 0;
  };
  // Sums gradients over learners, clips them and takes one AdamW update. Throws MachineError if the
  // norm is not finite; parameters are then as before.
  Update EndUpdate();

  // Ends a step: `value` (loss, reward) goes into the history; saves where a checkpoint is due or a
  // stop was requested on any learner, and throws Stopped in the latter case unless the run is
  // done. `last`: saves, and the loop ends here, whatever its steps.
  void EndStep(double value, bool last = false);
  // Mean of the history over its first or last `share` (at least one step).
  double FirstMean(double share) const;
  double LastMean(double share) const;

  // For dropout masks: differs by step, micro-batch and rank; never 0.
  uint64_t DropoutSeed(int64_t micro_batch) const;

 private:
  NamedTensors State() const;
  void Save();
  double MeanOf(int64_t begin, int64_t count) const;
  int64_t WindowSize(double share) const;

  NamedTensors parameters_;
  TrainingRunOptions options_;
  Gradients gradients_;
  AdamW optimizer_;
  at::Tensor history_;  // float64 [steps]
  int64_t step_ = 0;
};

// Elementwise over learners; null: as given.
std::vector<double> SumOverLearners(Communicator* learners, const std::vector<double>& values);
double MaxOverLearners(Communicator* learners, double value);

}  // namespace flame

#endif  // FLAME_TRAINER_TRAINING_RUN_H_
