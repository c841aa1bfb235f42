#include "launch/config/config.h"

#include <algorithm>

#include "base/error.h"
#include "model/map_names.h"
#include "reward/segmentation.h"
#include "trainer/preset.h"

namespace flame {
namespace {

void CheckColocated(const ClusterOptions& cluster) {
  if (cluster.placement != "colocated") return;
  if (cluster.learners + cluster.rollouts + cluster.rewards > 0) {
    throw UsageError("cluster.placement is colocated, and cluster.learners, rollouts and rewards ",
                     "are ", cluster.learners, ", ", cluster.rollouts, " and ", cluster.rewards,
                     "; expected them at 0: each rank does everything");
  }
  if (SplitsParameters(cluster.sharding.policy)) {
    throw UsageError("cluster.placement is colocated and cluster.sharding ",
                     NameOf(cluster.sharding.policy),
                     "; expected none or optimizer: a rank that samples holds all weights");
  }
}

// Refuses keys of `credit` and `grpo` of which one would have no effect.
void CheckCredit(const GrpoOptions& grpo, const CreditOptions& credit) {
  const bool potential = credit.scheme == "potential";
  if (!potential && grpo.preset != "none") {
    throw UsageError("credit.scheme is ", credit.scheme, " with grpo.preset ", grpo.preset,
                     ", which is GRPO of the outcome alone; expected potential, or preset none");
  }
  if (!potential && credit.scale_steps != "none") {
    throw UsageError("credit.scale_steps is ", credit.scale_steps, " with credit.scheme ",
                     credit.scheme, "; expected none: it scales the differences of potential");
  }
  if (credit.scale_steps == "group" && credit.scale_rewards == "none") {
    throw UsageError(
        "credit.scale_steps is group with credit.scale_rewards none; expected none, or group for "
        "both: steps that are scaled do not add up to a reward that is not");
  }
  if (credit.scheme == "causal" && grpo.loss == "gspo") {
    throw UsageError(
        "credit.scheme is causal, with one ratio for each step, and grpo.loss is gspo, with one "
        "for the completion; expected grpo, or another scheme");
  }
}

void CheckTogether(const Config& config) {
  CheckColocated(config.cluster);
  CheckCredit(config.grpo, config.credit);
  if (config.classifier.teacher_share > 0 && config.classifier.balance != "none") {
    throw UsageError("classifier.teacher_share is ", config.classifier.teacher_share,
                     " with classifier.balance ", config.classifier.balance,
                     "; expected none: the teacher's probabilities are those of all answers");
  }
  if (config.data.split.size() != 3) {
    throw UsageError("data.split has ", config.data.split.size(),
                     " numbers; expected three: train, validation, test");
  }
  for (const int64_t share : config.data.split) {
    if (share < 1) {
      throw UsageError("data.split has a share of ", share, "; expected at least 1 in each split");
    }
  }
  ParseSegmentation(config.reward.segmentation);
  CheckTargets("model.lora.targets", config.model.lora.targets);
  CheckTargets("grpo.lora.targets", config.grpo.lora.targets);
  if (config.model.trainable == "full" &&
      (config.model.dtype == "bfloat16" || config.model.quantize != "none")) {
    throw UsageError("model.trainable is full with model.dtype ", config.model.dtype,
                     " and model.quantize ", config.model.quantize,
                     "; expected lora, or float32 or float64 and none");
  }
  if (config.model.device == "cuda" && config.model.dtype == "float64") {
    throw UsageError("model.dtype is float64 with model.device cuda; expected float32 or bfloat16");
  }
  if (config.run.dir.empty()) {
    throw UsageError("run.dir is empty; expected a folder for everything that the run writes");
  }
  for (const std::string& encoder : config.encoders.train) {
    if (encoder == "micron" || encoder == "raremed") continue;
    throw UsageError("encoders.train names '", encoder, "'; expected micron or raremed");
  }
  for (const EncoderKey& key : EncoderKeys(config.encoders)) {
    if (IsEncoderFile(key.encoder) ||
        std::find(key.named.begin(), key.named.end(), key.encoder) != key.named.end()) {
      continue;
    }
    throw UsageError(key.key, " is ", key.encoder, ", which has no vectors of this kind; expected ",
                     key.Expected());
  }
  if (config.tasks.list_order != "predicted" && !config.encoders.Trains(config.tasks.list_order)) {
    throw UsageError("tasks.list_order is ", config.tasks.list_order,
                     ", which the run does not train; expected it in encoders.train");
  }
  if (config.raremed.dim % config.raremed.heads != 0) {
    throw UsageError("raremed.heads is ", config.raremed.heads, " and raremed.dim ",
                     config.raremed.dim, "; expected heads that divide it");
  }
  if (config.data.hospital != "synth" && config.data.root.empty()) {
    throw UsageError("data.root is empty; expected the folder with the tables of data.hospital '",
                     config.data.hospital, "', or the file of 'records'");
  }
}

}  // namespace

void RunOptions::Bind(ConfigSchema* schema) {
  schema->Path("run.dir", &dir, "folder for everything that the run writes");
  schema->Int("run.seed", &seed, {0, 4294967295.0}, "seed of every random number");
  schema->Int("run.threads", &threads, {0, 1024},
              "arithmetic threads; 0: this rank's share of the cores");
}

void EvaluateOptions::Bind(ConfigSchema* schema) {
  schema->Choice("evaluate.split", &split, {"test", "validation"}, "visits to evaluate on");
  schema->Int("evaluate.samples", &samples, {1, 1024}, "lists sampled per visit");
  schema->Int("evaluate.bootstrap", &bootstrap, {100, 1000000}, "bootstrap resamples");
}

void Config::Bind(ConfigSchema* schema) {
  run.Bind(schema);
  data.Bind(schema);
  prompts.Bind(schema);
  tasks.Bind(schema);
  model.Bind(schema);
  encoders.Bind(schema);
  micron.Bind(schema);
  raremed.Bind(schema);
  molecule.Bind(schema);
  classifier.Bind(schema);
  list.Bind("list", schema);
  grpo.Bind(schema);
  reward.Bind(schema);
  credit.Bind(schema);
  cluster.Bind(schema);
  evaluate.Bind(schema);
}

std::string Config::Canonical(const std::vector<std::string>& prefixes) const {
  Config copy = *this;
  ConfigSchema schema;
  copy.Bind(&schema);
  return schema.Canonical(prefixes);
}

std::string Config::ResolvedYaml() const {
  Config copy = *this;
  ConfigSchema schema;
  copy.Bind(&schema);
  return schema.ResolvedYaml();
}

Config LoadConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  Config given;
  ConfigSchema first;
  given.Bind(&first);
  first.Load(file, overrides);
  // Loads again over the preset's defaults, so that given keys override the preset.
  Config config;
  config.grpo.preset = given.grpo.preset;
  ApplyPreset(&config.grpo, &config.credit);
  ConfigSchema schema;
  config.Bind(&schema);
  schema.Load(file, overrides);
  CheckTogether(config);
  return config;
}

namespace {

// Returns the value that `read` makes of the schema over defaults.
template <class Read>
auto OfDefaults(const Read& read) {
  Config config;
  ConfigSchema schema;
  config.Bind(&schema);
  return read(schema);
}

}  // namespace

std::string ConfigHelp(size_t width) {
  return OfDefaults([&](const ConfigSchema& schema) { return schema.Help(width); });
}

std::string ConfigReference() {
  return "# Config keys\n\n"
         "`flame config --reference` prints this file. A key is given as `a.b=value` on the "
         "command line or\nnested in YAML (`flame grpo --config FILE a.b=value`). An unknown key "
         "or a value out of range is\nrefused before anything starts. `flame config --config FILE` "
         "prints a config with every key.\n" +
         OfDefaults([](const ConfigSchema& schema) { return schema.Markdown(); });
}

std::vector<std::string> ConfigKeyNames() {
  return OfDefaults([](const ConfigSchema& schema) { return schema.Names(); });
}

}  // namespace flame
