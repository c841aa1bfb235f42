// The training state that all trainings share: trainable tensors, their gradients and optimizer,
// the history of the run, and the checkpoints that hold all of it.
#ifndef FLAME_TRAINER_TRAINING_RUN_H_
#define FLAME_TRAINER_TRAINING_RUN_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "comm/group.h"
#include "model/sharded_model.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/optimizer/make_optimizer.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/options.h"
#include "trainer/sharding/sharded_parameters.h"
#include "trainer/training_job.h"

namespace flame {

struct TrainingRunOptions {
  std::string label;  // "classifier", for messages
  OptimizerOptions optimizer;
  int64_t steps = 0;  // steps of the whole run
  int64_t updates_per_step = 1;
  int64_t checkpoint_every = 1;
  CheckpointRetention retention;
};

class TrainingRun {
 public:
  // Collective over the learners, like every method below except the accessors.
  TrainingRun(const TrainingJob& job, ShardedModel* model, const NamedTensors& trainable,
              TrainingRunOptions options);

  // Adds flat tensors, laid out as parameters()->shards(), to the state that is saved and resumed.
  void AddSharded(const std::string& prefix, const NamedTensors& flat);
  // Adds a contiguous tensor that is equal on all learners to the state that is saved and resumed.
  void AddState(const std::string& name, const at::Tensor& tensor);
  // Resumes from the folder's latest checkpoint, if it has one. Throws as LoadLatestCheckpoint
  // does, and MachineError if learners find different checkpoints. With sharding none, learners
  // that find no checkpoint take learner 0's, so that a run without a common folder can resume.
  void Resume();

  int64_t step() const { return step_; }  // steps done
  bool done() const { return step_ >= options_.steps; }
  int rank() const { return job_.learners == nullptr ? 0 : job_.learners->rank(); }
  int size() const { return job_.learners == nullptr ? 1 : job_.learners->size(); }

  // Clears the gradients. A pass, between BeginPass and EndPass, is forwards and a backward, which
  // adds to the parameters' .grad. All learners make the same number of passes.
  void BeginUpdate() { parameters_.BeginUpdate(); }
  void BeginPass() { parameters_.BeginPass(); }
  void EndPass() { parameters_.EndPass(); }
  // Returns the largest number of passes that any learner needs; this one needs `own`.
  int64_t CountPasses(int64_t own) const;
  struct Update {
    double grad_norm = 0, learning_rate = 0;
  };
  // Sums gradients over learners, clips them and takes one update of the optimizer. Throws
  // MachineError if the norm is not finite, leaving the parameters unchanged, or if an updated
  // parameter is not finite.
  Update EndUpdate();

  // Ends a step and adds `value` (loss, reward) to the history. Saves if a checkpoint is due. If a
  // stop was requested on any learner, saves and, if steps are left, throws Stopped. `last` saves
  // and ends the loop here, whatever the number of steps.
  void EndStep(double value, bool last = false);
  // Return the mean of the history over its first or last `share` (at least one step).
  double FirstMean(double share) const;
  double LastMean(double share) const;

  ShardedParameters* parameters() { return &parameters_; }
  // Publishes the checkpoint that is being written, if any.
  void Finish();

  // Returns the step's seed for dropout masks: never 0, another one for every step.
  uint64_t DropoutSeed() const;

 private:
  // The numbers of a checkpoint; step -1 means no checkpoint.
  struct Resumed {
    int64_t step = -1, updates = 0;
    double value = 0;
  };
  Resumed AgreeOnResumed(const Resumed& own, const std::vector<CheckpointSlice>& slices);
  void BeginSave();
  void Publish();
  double MeanOf(int64_t begin, int64_t count) const;
  int64_t WindowSize(double share) const;

  TrainingJob job_;
  TrainingRunOptions options_;
  ShardedParameters parameters_;
  std::unique_ptr<Optimizer> optimizer_;
  CheckpointWriter writer_;
  std::vector<CheckpointSlice> slices_, whole_slices_;  // sharded state; unsharded state
  at::Tensor history_;                                  // float64 [steps]
  int64_t step_ = 0;
};

}  // namespace flame

#endif  // FLAME_TRAINER_TRAINING_RUN_H_
