// The loop of a training on examples whose answers are known: steps, validation, early stopping,
// metrics, progress and checkpoints.
#ifndef FLAME_TRAINER_SUPERVISED_SUPERVISED_H_
#define FLAME_TRAINER_SUPERVISED_SUPERVISED_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>

#include "model/sharded_model.h"
#include "trainer/training_job.h"
#include "trainer/training_run.h"

namespace flame {

struct SupervisedLoop {
  TrainingRunOptions run;
  int64_t validate_every = 0;  // steps; 0: no validation
  int64_t patience = 0;        // evaluations without a lower loss; 0: trains to the end
  // Trains a step: BeginUpdate, passes, EndUpdate. Returns the step's row of metrics, with at least
  // "loss". Collective.
  std::function<nlohmann::json(TrainingRun* run)> step;
  NamedTensors state;  // tensors beside the parameters, equal on all learners, that are saved too
  // Returns the function that computes the validation loss, which is collective. Called once, on
  // every learner, before the first step or a resumption; unused if validate_every is 0.
  std::function<std::function<double()>()> validation;
};

struct SupervisedReport {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  // means over the first and last twentieth of the steps
  int64_t best_step = 0;                 // step with the lowest validation loss; 0: no validation
};

// Trains to the last step. If validate_every is set, the validation loss is evaluated after every
// validate_every steps and after the last one. Training stops after `patience` evaluations without
// a lower loss. The model then gets the weights with the lowest loss, and folder/validation.json
// records all evaluations.
//
// If the folder holds the run's last checkpoint, loads it and calls `end` at once. metrics.jsonl
// has a row per step: step (updates done, from 1) and those of loop.step; if an evaluation
// followed, also validation_loss, validation_best_step and validation_seconds. `end` is called last
// on every learner, with the trained parameters still spread over the learners; it may be empty.
// Throws Stopped (exit status 75) after saving if a stop was requested, and MachineError if the
// gradient or the validation loss is not finite.
SupervisedReport RunSupervised(const TrainingJob& job, ShardedModel* model,
                               const NamedTensors& trainable, const SupervisedLoop& loop,
                               const std::function<void()>& end);

}  // namespace flame

#endif  // FLAME_TRAINER_SUPERVISED_SUPERVISED_H_
