#include "trainer/options.h"

namespace flame {
namespace {

constexpr Range kPositive{.low = 0, .low_open = true};
constexpr Range kNotNegative{.low = 0};
constexpr Range kAtLeastOne{.low = 1};
constexpr Range kDecayRate{.low = 0, .high = 1, .high_open = true};

void BindRetention(const std::string& prefix, int64_t* last, int64_t* best, ConfigSchema* schema) {
  schema->Int(prefix + ".keep_last", last, kAtLeastOne, "number of newest checkpoints to keep");
  schema->Int(prefix + ".keep_best", best, kNotNegative,
              "number of further checkpoints to keep: those with the best mean loss (SFT) or "
              "reward (GRPO) over the last checkpoint_every steps");
}

}  // namespace

void OptimizerOptions::Bind(const std::string& prefix, ConfigSchema* schema) {
  schema->Number(prefix + ".learning_rate", &learning_rate, kPositive, "peak rate of AdamW");
  schema->Choice(prefix + ".schedule", &schedule, {"constant", "linear", "cosine", "inverse_sqrt"},
                 "learning rate after warm-up");
  schema->Int(prefix + ".warmup", &warmup, kNotNegative, "steps of linear warm-up");
  schema->Number(prefix + ".weight_decay", &weight_decay, kNotNegative, "decoupled weight decay");
  schema->Number(prefix + ".beta1", &beta1, kDecayRate, "decay of AdamW's first moment");
  schema->Number(prefix + ".beta2", &beta2, kDecayRate, "decay of AdamW's second moment");
  schema->Number(prefix + ".epsilon", &epsilon, kPositive, "added to AdamW's denominator");
  schema->Number(prefix + ".grad_clip", &grad_clip, kNotNegative,
                 "global norm that gradients are clipped to; 0: no clipping");
}

void SftOptions::Bind(const std::string& prefix, ConfigSchema* schema) {
  optimizer.Bind(prefix, schema);
  schema->Number(prefix + ".projector_rate", &optimizer.projector_rate, kPositive,
                 "share of the learning rate that entity projectors have");
  schema->Int(prefix + ".batch", &batch, kAtLeastOne,
              "examples per optimizer step, over all ranks");
  schema->Int(prefix + ".epochs", &epochs, kAtLeastOne, "passes over the examples");
  schema->Int(prefix + ".sort_window", &sort_window, kAtLeastOne,
              "number of steps whose examples are sorted by length together; the examples of one "
              "step then have similar lengths");
  schema->Int(prefix + ".validate_every", &validate_every, kNotNegative,
              "steps between evaluations on the validation split; 0: none");
  schema->Int(prefix + ".validate_examples", &validate_examples, kNotNegative,
              "examples of the validation split to evaluate, drawn by seed; 0: all");
  schema->Int(prefix + ".patience", &patience, kNotNegative,
              "evaluations without a lower loss before training stops; 0: it never stops early");
  schema->Int(prefix + ".token_budget", &token_budget, kAtLeastOne,
              "packed tokens of a micro-batch; bounds memory, not the result");
  schema->Int(prefix + ".checkpoint_every", &checkpoint_every, kAtLeastOne,
              "steps between checkpoints; the last step is always saved");
  BindRetention(prefix, &keep_last, &keep_best, schema);
}

void ClassifierOptions::Bind(ConfigSchema* schema) {
  SftOptions::Bind("classifier", schema);
  schema->Choice("classifier.balance", &balance, {"none", "weight", "subsample"},
                 "weight: Yes answers weigh more; subsample: each epoch trains on a new random "
                 "part of the No answers");
  schema->Number("classifier.balance_ratio", &balance_ratio, kPositive,
                 "No answers per Yes answer, in weight or in number; unused with balance none");
  schema->Number("classifier.named_weight", &named_weight, kPositive,
                 "at the first step, answers about drugs of the previous visit or the note weigh "
                 "this many times as much; the factor moves to 1 over the first 0.6 of the steps");
  schema->Number("classifier.teacher_share", &teacher_share, {.low = 0, .high = 1},
                 "at the first step, the share of an answer that the probability of a logistic "
                 "regression per drug has, fitted on the same visits; it moves to 0 over the first "
                 "0.6 of the steps");
  schema->Choice("classifier.threshold", &threshold, {"paper", "calibrated"},
                 "paper: P(Yes) > P(No); calibrated: the offset of the logits with the best mean "
                 "Jaccard on validation visits");
}

GrpoOptions::GrpoOptions() {
  optimizer.learning_rate = 1e-5;
  optimizer.schedule = "cosine";
  optimizer.warmup = 200;
  lora.rank = 32;
  lora.alpha = 16;
  lora.dropout = 0;
  lora.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
}

void GrpoOptions::Bind(ConfigSchema* schema) {
  schema->Choice(
      "grpo.preset", &preset, {"none", "standard", "trl"},
      "changes defaults of grpo and credit keys; a key that is set keeps its value. standard: "
      "credit.lambda 0, the outcome reward alone; trl: the defaults of TRL's GRPOConfig");
  optimizer.Bind("grpo", schema);
  lora.Bind("grpo.lora", schema);
  sampling.Bind(schema);
  schema->Int("grpo.steps", &steps, kAtLeastOne,
              "training steps; each samples one batch of rollouts");
  schema->Int("grpo.tasks", &tasks, kAtLeastOne, "list tasks (groups) per step");
  schema->Choice("grpo.loss", &loss, {"grpo", "gspo"},
                 "grpo: an importance ratio for each token; gspo: one for a completion, the "
                 "geometric mean of its tokens' (a far smaller grpo.clip then suits)");
  schema->Number("grpo.clip", &clip, {.low = 0, .high = 1, .low_open = true},
                 "epsilon of the clipped importance ratio");
  schema->Number("grpo.kl", &kl, kNotNegative,
                 "weight of KL(policy || reference); 0: no reference is evaluated");
  schema->Choice("grpo.kl_estimator", &kl_estimator, {"k3", "k3_ratio"},
                 "k3_ratio: weighted by the importance ratio, unbiased even if another policy "
                 "sampled");
  schema->Choice("grpo.normalizer", &normalizer, {"sequence", "token", "batch", "constant"},
                 "how token losses are averaged");
  schema->Int("grpo.iterations", &iterations, kAtLeastOne, "optimizer steps on a step's rollouts");
  schema->Int("grpo.staleness", &staleness, kNotNegative,
              "steps that sampling may run ahead of training; 0: strictly on-policy");
  schema->Number("grpo.importance_cap", &importance_cap, {.low = 1},
                 "largest weight of a token that an older policy sampled");
  schema->Int("grpo.token_budget", &token_budget, kAtLeastOne,
              "packed tokens of a micro-batch; bounds memory, not the result");
  schema->Int("grpo.checkpoint_every", &checkpoint_every, kAtLeastOne,
              "steps between checkpoints; the last step is always saved");
  BindRetention("grpo", &keep_last, &keep_best, schema);
  schema->Int("grpo.keep_shards", &keep_shards, kNotNegative,
              "newest steps whose shards are kept, for flame replay and inspect; 0: all");
}

void ClusterOptions::Bind(ConfigSchema* schema) {
  schema->Int("cluster.learners", &learners, kNotNegative,
              "number of learner ranks; if learners, rollouts and rewards are all 0, one process "
              "has every role, and several ranks are split automatically");
  schema->Int("cluster.rollouts", &rollouts, kNotNegative, "number of ranks that sample");
  schema->Int("cluster.rewards", &rewards, kNotNegative, "number of ranks that score");
  schema->Choice(
      "cluster.placement", &placement, {"split", "colocated"},
      "split: sampling and scoring have ranks of their own; colocated: every rank samples, scores "
      "and trains in turn");
  schema->Choice(
      "cluster.carrier", &carrier, {"files", "mpi"},
      "how lists reach the learners. files: in shards of a run folder that all ranks see; mpi: in "
      "messages, for ranks without a common disk");
  schema->Enum("cluster.sharding", &sharding.policy, ShardingNames(),
               "what learners split. optimizer: AdamW's state; full: parameters and gradients too; "
               "hybrid: as full, within each group of learners");
  schema->Int("cluster.shard_group", &sharding.group, kNotNegative,
              "learners in a hybrid group; 0: the learners of one host");
  schema->Enum<bool>(
      "cluster.reshard", &sharding.reshard, {{"always", true}, {"never", false}},
      "frozen weights under full and hybrid. always: split; never: whole on every learner");
  schema->Enum<bool>(
      "cluster.offload", &sharding.offload_optimizer, {{"none", false}, {"optimizer", true}},
      "what a learner on a GPU keeps in the host's memory: nothing, or AdamW's moments");
  schema->Number("cluster.timeout", &timeout, kPositive, "seconds that any operation may wait");
}

}  // namespace flame
