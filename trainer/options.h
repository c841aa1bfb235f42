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

struct OptimizerOptions {
  // The training decides, no key: AdamW (Loshchilov & Hutter 2019; decoupled decay, bias
  // correction) or RMSprop, which has no beta1.
  enum class Method { kAdamW, kRmsProp } method = Method::kAdamW;
  double learning_rate = 5e-4;
  std::string schedule = "inverse_sqrt";  // constant, linear, cosine, inverse_sqrt; after warm-up
  int64_t warmup = 10;                    // steps of linear warm-up
  double weight_decay = 0.0;
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double grad_clip = 1.0;  // global norm; 0: no clipping
  // Share of the learning rate that entity projectors have; SFT alone trains them. A step of
  // Adam changes every weight of their wide maps, and moves a slot farther than a word.
  double projector_rate = 1.0;
  void Bind(const std::string& prefix, ConfigSchema* schema);
};

struct SftOptions {
  OptimizerOptions optimizer;
  int64_t batch = 16;  // examples (families) per optimizer step
  int64_t epochs = 1;
  int64_t sort_window = 1;          // steps whose examples are sorted by length together (SftOrder)
  int64_t validate_every = 0;       // steps; 0: no validation
  int64_t validate_examples = 256;  // most validation examples to evaluate; 0: all
  int64_t patience = 0;             // evaluations without improvement; 0: trains to the end
  int64_t token_budget = 16384;     // tokens per micro-batch; the gradient does not depend on it
  int64_t checkpoint_every = 200;   // steps; the last step is always saved
  int64_t keep_last = 2, keep_best = 0;
  void Bind(const std::string& prefix, ConfigSchema* schema);  // "classifier", "list"
};

struct ClassifierOptions : SftOptions {
  // How Yes and No answers are balanced; few candidates are prescribed, so most answers are No.
  //   none       every answer has weight 1 (the paper's)
  //   weight     Yes answers weigh more, so that over the training visits all No answers together
  //              weigh balance_ratio times as much as all Yes answers
  //   subsample  each epoch draws, for each visit, balance_ratio times as many candidates that are
  //              not prescribed as candidates that are; a visit without a prescribed candidate
  //              counts as having one
  std::string balance = "none";
  double balance_ratio = 1;
  // Factor, at the first step, on the weight of answers about drugs that the facts name: drugs of
  // the previous visit, and of the note's medications on admission and allergies. It moves to 1
  // over the first kEarlyShare of the steps (trainer/sft/sft.h). Such answers are few; without the
  // factor the policy learns them last.
  double named_weight = 1;
  double teacher_share = 0;
  // paper: a drug is predicted if P(Yes) > P(No). calibrated: it is predicted if logit(Yes) -
  // logit(No) exceeds an offset, chosen for the highest mean Jaccard on the validation visits.
  std::string threshold = "paper";
  void Bind(ConfigSchema* schema);  // classifier.*
};

struct GrpoOptions {
  std::string preset = "none";  // trainer/preset.h
  OptimizerOptions optimizer;
  LoraOptions lora;  // adapters over the SFT policy; the reference policy has them off
  SamplingOptions sampling;
  int64_t steps = 200;
  int64_t tasks = 32;  // groups per step
  // grpo: each token has an importance ratio. gspo: a completion has one (trainer/losses.h).
  std::string loss = "grpo";
  double clip = 0.2;                // epsilon of the clipped ratio
  double kl = 0.02;                 // beta_kl
  std::string kl_estimator = "k3";  // see KlEstimator in trainer/losses.h
  // sequence: mean over a completion's tokens, then over completions (the paper's); token: mean
  // over all tokens of the step; batch: sum / completions; constant: sum / (completions *
  // max_tokens).
  std::string normalizer = "sequence";
  int64_t iterations = 1;  // optimizer steps on one batch of rollouts
  // Most versions by which the sampling policy may lag the trained one. 0: on-policy.
  int64_t staleness = 0;
  double importance_cap = 2;  // largest weight of a token of an older policy (trainer/losses.h)
  int64_t token_budget = 16384;
  int64_t checkpoint_every = 50;
  int64_t keep_last = 2, keep_best = 0;
  int64_t keep_shards = 0;          // newest steps whose shards are kept; 0: all
  GrpoOptions();                    // sets the authors' values that differ from those of SFT
  void Bind(ConfigSchema* schema);  // grpo.*
};

struct ClusterOptions {
  // Number of ranks of each role. All three 0: one process has every role, and several ranks are
  // split automatically (AssignRoles, comm/roles.h).
  int64_t learners = 0, rollouts = 0, rewards = 0;
  ShardingOptions sharding;
  // split: each role has ranks of its own; colocated: every rank trains, samples and scores in
  // turn.
  std::string placement = "split";
  // How shards reach the learners. files: through a run folder that all ranks see; mpi: in messages
  // to learner 0, which writes them.
  std::string carrier = "files";
  double timeout = 600;  // seconds that any operation may wait
  void Bind(ConfigSchema* schema);
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIONS_H_
