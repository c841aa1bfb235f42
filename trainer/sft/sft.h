// Supervised fine-tuning over families. The loss is the weighted mean negative log-probability of
// the asked-for tokens of a step's examples.
#ifndef FLAME_TRAINER_SFT_SFT_H_
#define FLAME_TRAINER_SFT_SFT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/family.h"
#include "trainer/options.h"
#include "trainer/training_job.h"

namespace flame {

struct SftExample {
  Family family;
  std::vector<double> weights;  // [branches]: weight, >= 0, of its asked-for tokens; empty: all 1
  // [branches]: the weights at the first step, which move linearly to `weights` over the first
  // kEarlyShare of the steps; empty: `weights` from the first step on.
  std::vector<double> early_weights = {};
};

// Share of a training's steps after which early weights no longer count.
inline constexpr double kEarlyShare = 0.6;

struct SftJob : TrainingJob {
  std::string label;               // for progress: "classifier"
  std::string trainable = "lora";  // see Policy::SelectTrainable
  int64_t num_examples = 0;
  // A pure function of its arguments. An example may have other branches in another epoch.
  std::function<SftExample(int64_t example, int64_t epoch)> example;
  SftOptions options;
  // Returns the examples to evaluate on; unused if validate_every is 0. Called once, on every
  // learner, before the first step or a resumption; it may run the policy.
  std::function<std::vector<Family>()> validation;
};

struct SftReport {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  // means over the first and last twentieth of the steps
  int64_t best_step = 0;                 // step with the lowest validation loss; 0: no validation
};

// Trains to the last step. A step trains on the examples that SftOrder gives it, dealt to ranks by
// ShareOf. Loss and gradient do not depend, except for rounding, on how a rank's share is cut into
// micro-batches of at most token_budget tokens. LoRA dropout masks depend on the step, the example,
// the branch and the place in it only.
//
// If options.validate_every is set, the loss on `validation` is evaluated after every
// validate_every steps and after the last one. Training stops after `patience` evaluations without
// a lower loss. The policy then gets the weights with the lowest loss, and folder/validation.json
// records all evaluations.
//
// After `end` returns, the policy no longer has the parameters that other learners hold
// (ShardedParameters).
//
// If the folder holds the run's last checkpoint, loads it and returns at once. metrics.jsonl has a
// row per step: step (updates done, from 1), loss, grad_norm (before clipping), learning_rate,
// tokens_trained (asked-for tokens), tokens_packed (all tokens that went through the model),
// micro_batches (over all ranks), seconds, tokens_per_second (packed); if an evaluation followed,
// also validation_loss, validation_best_step and validation_seconds. Throws Stopped (exit status
// 75) after saving if a stop was requested, DataError if a step's tokens have no weight or there is
// nothing to validate on, MachineError if the gradient or the validation loss is not finite.
SftReport RunSft(const SftJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_SFT_H_
