// Config sections `classifier`, `list` and `grpo`, and `cluster`.
#ifndef FLAME_TRAINER_OPTIONS_H_
#define FLAME_TRAINER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "base/config.h"
#include "model/options.h"
#include "rollout/options.h"
#include "trainer/sharding/sharding_options.h"

namespace flame {

// AdamW (Loshchilov & Hutter 2019), decoupled decay, bias correction.
struct OptimizerOptions {
  double learning_rate = 5e-4;
  std::string schedule = "inverse_sqrt";  // constant, linear, cosine, inverse_sqrt; after warm-up
  int64_t warmup = 10;                    // steps of linear warm-up
  double weight_decay = 0.0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double grad_clip = 1.0;  // global norm; 0: no clipping
  void Bind(const std::string& prefix, ConfigSchema* schema);
};

struct SftOptions {
  OptimizerOptions optimizer;
  int64_t batch = 16;  // examples (families) an optimizer step
  int64_t epochs = 1;
  int64_t sort_window = 1;          // steps whose examples are sorted by length together (SftOrder)
  int64_t validate_every = 0;       // steps; 0: no validation
  int64_t validate_examples = 256;  // examples of the validation split at most; 0: all
  int64_t patience = 0;             // evaluations without improvement; 0: to the end
  int64_t token_budget = 16384;     // tokens of a micro-batch; the gradient does not depend on it
  int64_t checkpoint_every = 200;   // steps; the last is always saved
  int64_t keep_last = 2, keep_best = 0;
  void Bind(const std::string& prefix, ConfigSchema* schema);  // "classifier", "list"
};

struct ClassifierOptions : SftOptions {
  // Few candidates are prescribed, so most answers are No. none: every answer counts 1 (the
  // paper's); weight: those that are Yes count more, so that No has balance_ratio times the weight
  // of Yes over the training visits; subsample: of each visit's candidates that are not prescribed
  // balance_ratio times as many as are (of one, where none is) are drawn anew each epoch.
  std::string balance = "none";
  double balance_ratio = 1;
  // paper: a drug is predicted where P(Yes) > P(No); calibrated: where the logits differ by more
  // than an offset that gives the validation visits the highest mean Jaccard.
  std::string threshold = "paper";
  void Bind(ConfigSchema* schema);  // classifier.*
};

struct GrpoOptions {
  std::string preset = "none";  // trainer/preset.h
  OptimizerOptions optimizer;
  LoraOptions lora;  // adapters over the SFT policy; the reference is them off
  SamplingOptions sampling;
  int64_t steps = 200;
  int64_t tasks = 32;               // groups a step
  double clip = 0.2;                // epsilon of the clipped ratio
  double kl = 0.02;                 // beta_kl
  std::string kl_estimator = "k3";  // as in trainer/losses.h
  // sequence: mean over a completion's tokens, then over completions (the paper's); token: mean
  // over all tokens of the step; batch: sum / completions; constant: sum / (completions *
  // max_tokens).
  std::string normalizer = "sequence";
  int64_t iterations = 1;  // optimizer steps on one batch of rollouts
  // Versions that the policy which samples may be behind the one that is trained. 0: on-policy.
  int64_t staleness = 0;
  double importance_cap = 2;  // at most this weight for a token of an older policy (losses.h)
  int64_t token_budget = 16384;
  int64_t checkpoint_every = 50;
  int64_t keep_last = 2, keep_best = 0;
  int64_t keep_shards = 0;          // steps whose shards are kept; 0: all
  GrpoOptions();                    // the authors' settings where they differ from SFT's
  void Bind(ConfigSchema* schema);  // grpo.*
};

struct ClusterOptions {
  // Ranks of each role; 0 of all three: every role in one process.
  int64_t learners = 0, rollouts = 0, rewards = 0;
  ShardingOptions sharding;
  // split: ranks of each role; colocated: every rank trains, samples and scores in turn.
  std::string placement = "split";
  // How shards reach the learners: files, in a run folder that all ranks see; mpi, in messages to
  // learner 0, which writes them.
  std::string carrier = "files";
  double timeout = 600;  // seconds any operation may wait
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIONS_H_
