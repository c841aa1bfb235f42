// Supervised fine-tuning over families: the loss is the weighted mean negative log-probability of
// the asked-for tokens of a step's examples.
#ifndef FLAME_TRAINER_SFT_SFT_H_
#define FLAME_TRAINER_SFT_SFT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "model/policy.h"
#include "trainer/options.h"
#include "trainer/sharding/sharding.h"

namespace flame {

struct SftExample {
  Family family;
  std::vector<double> weights;  // of each branch's asked-for tokens, >= 0; empty: 1 each
};

struct SftJob {
  std::string label;  // for progress: "classifier"
  Policy* policy = nullptr;
  std::string trainable = "lora";  // as Policy::SelectTrainable
  int64_t num_examples = 0;
  // A pure function of its arguments; an epoch may show other branches of an example than the last.
  std::function<SftExample(int64_t example, int64_t epoch)> example;
  SftOptions options;
  // All that is evaluated on; unused with validate_every 0. Called once, on every learner, before
  // the first step or a resumption: it may ask the policy.
  std::function<std::vector<Family>()> validation;
  // Called at the end on every learner, with the trained policy, whose parameters are still spread
  // over them: forwards, Save and JoinSave are collective. May be empty.
  std::function<void(const Policy&)> end;
  ShardingOptions sharding;
  bool recompute = false;        // ForwardOptions::recompute
  uint64_t seed = 0;             // order of examples (equal on any number of ranks), dropout
  std::filesystem::path folder;  // checkpoints/, metrics.jsonl; resumed if it holds a checkpoint
  // As CheckpointInfo: a checkpoint of another digest is refused.
  std::string config_sha256, settings;
  Communicator* learners = nullptr;   // null: one rank
  Communicator* on_device = nullptr;  // as ShardGroups
};

struct SftReport {
  int64_t steps = 0;
  double first_loss = 0, last_loss = 0;  // means over the first and last twentieth of the steps
  int64_t best_step = 0;  // of the lowest validation loss; 0: there was no validation
};

// A step trains on the examples that SftOrder gives it, dealt to ranks by ShareOf. However a rank's
// share is cut into micro-batches of at most token_budget tokens, loss and gradient are the same
// but for rounding. LoRA dropout masks follow step, example, branch and place.
//
// With options.validate_every the loss on `validation` is taken every so many steps and after the
// last one; after `patience` evaluations that did not lower it training stops. The policy then has
// the weights of the lowest one, and folder/validation.json tells all of them.
//
// Behind `end` the policy has lost what other learners hold (ShardedParameters).
//
// If the folder holds the run's last checkpoint, loads it and returns at once. metrics.jsonl, a row
// a step: step (updates done, from 1), loss, grad_norm (before clipping), learning_rate,
// tokens_trained (asked-for tokens), tokens_packed (all that went through the model), micro_batches
// (over all ranks), seconds, tokens_per_second (packed); where an evaluation followed also
// validation_loss, validation_best_step and validation_seconds. Throws Stopped (75) after saving if
// a stop was requested, DataError if a step's tokens weigh nothing or there is nothing to validate
// on, MachineError if the gradient or the validation loss is not finite.
SftReport RunSft(const SftJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_SFT_H_
