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
#include "trainer/supervised/supervised.h"
#include "trainer/training_job.h"

namespace flame {

// Another token in place of a branch's last one. `share` of that token's weight is its at the first
// step, in [0, 1], and moves linearly to 0 over the first kEarlyShare of the steps.
struct EarlyAnswer {
  int32_t token = 0;
  double share = 0;
};

struct SftExample {
  Family family;
  std::vector<double> weights;  // [branches]: weight, >= 0, of its asked-for tokens; empty: all 1
  // [branches]: the weights at the first step, which move linearly to `weights` over the first
  // kEarlyShare of the steps; empty: `weights` from the first step on.
  std::vector<double> early_weights = {};
  std::vector<EarlyAnswer> early_answers = {};  // [branches]; empty: there are none
};

// Share of a training's steps after which early weights and answers no longer count.
inline constexpr double kEarlyShare = 0.6;

struct SftJob : PolicyJob {
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

using SftReport = SupervisedReport;

// Trains to the last step. A step trains on the examples that SftOrder gives it, dealt to ranks by
// ShareOf. Loss and gradient do not depend, except for rounding, on how a rank's share is cut into
// micro-batches of at most token_budget tokens. LoRA dropout masks depend on the step, the example,
// the branch and the place in it only.
//
// Validation, resumption and `end` are as in RunSupervised. After `end` returns, the policy no
// longer has the parameters that other learners hold (ShardedParameters).
//
// metrics.jsonl has per step also grad_norm (before clipping), learning_rate, tokens_trained
// (asked-for tokens), tokens_packed (all tokens that went through the model), micro_batches (over
// all ranks), seconds and tokens_per_second (packed). Throws as RunSupervised does, and DataError
// if a step's tokens have no weight or there is nothing to validate on.
SftReport RunSft(const SftJob& job);

}  // namespace flame

#endif  // FLAME_TRAINER_SFT_SFT_H_
