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
#include "comm/group.h"
#include "model/policy.h"
#include "trainer/checkpoint/checkpoint.h"
#include "trainer/optimizer/adamw.h"
#include "trainer/options.h"
#include "trainer/sharding/sharded_parameters.h"

namespace flame {

struct TrainingRunOptions {
  std::string label;  // "classifier", for messages
  OptimizerOptions optimizer;
  ShardingOptions sharding;
  int64_t steps = 0;  // of the whole run
  int64_t updates_per_step = 1;
  int64_t checkpoint_every = 1;
  CheckpointRetention retention;
  uint64_t seed = 0;
  std::filesystem::path folder;
  std::string config_sha256, settings;  // as CheckpointInfo
  Communicator* learners = nullptr;     // null: one rank
  Communicator* on_device = nullptr;    // as ShardGroups
};

class TrainingRun {
 public:
  // Collective over the learners, as all that follows.
  TrainingRun(Policy* policy, const NamedTensors& trainable, TrainingRunOptions options);

  // What the loop has beside, saved and resumed with the rest under these names: flat tensors as
  // parameters()->shards(), and a contiguous tensor that is the same on all learners.
  void AddSharded(const std::string& prefix, const NamedTensors& flat);
  void AddState(const std::string& name, const at::Tensor& tensor);
  // From the folder's latest checkpoint if there is one. Throws as LoadLatestCheckpoint, and
  // MachineError where learners find different ones; but with sharding none, learners that find
  // none take learner 0's, so that a run without a common folder goes on.
  void Resume();

  int64_t step() const { return step_; }  // steps done
  bool done() const { return step_ >= options_.steps; }
  int rank() const { return options_.learners == nullptr ? 0 : options_.learners->rank(); }
  int size() const { return options_.learners == nullptr ? 1 : options_.learners->size(); }

  // Clears the gradients. Forwards and a backward, which adds to the parameters' .grad, come
  // between BeginPass and EndPass; learners make as many of them.
  void BeginUpdate() { parameters_.BeginUpdate(); }
  void BeginPass() { parameters_.BeginPass(); }
  void EndPass() { parameters_.EndPass(); }
  // The most passes that any learner has to make, `own` of them here.
  int64_t CountPasses(int64_t own) const;
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

  ShardedParameters* parameters() { return &parameters_; }
  // Publishes what is being written.
  void Finish();

  // For dropout masks: differs by step; never 0.
  uint64_t DropoutSeed() const;

 private:
  // What a checkpoint says beside its tensors; step -1: there is none.
  struct Resumed {
    int64_t step = -1, updates = 0;
    double value = 0;
  };
  Resumed AgreeOnResumed(const Resumed& own, const std::vector<CheckpointSlice>& slices);
  void BeginSave();
  void Publish();
  double MeanOf(int64_t begin, int64_t count) const;
  int64_t WindowSize(double share) const;

  TrainingRunOptions options_;
  ShardedParameters parameters_;
  AdamW optimizer_;
  CheckpointWriter writer_;
  std::vector<CheckpointSlice> slices_, whole_slices_;  // of sharded state and of the rest
  at::Tensor history_;                                  // float64 [steps]
  int64_t step_ = 0;
};

}  // namespace flame

#endif  // FLAME_TRAINER_TRAINING_RUN_H_
