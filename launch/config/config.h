// The whole config: one struct per section, declared and bound in the section's own layer.
#ifndef FLAME_LAUNCH_CONFIG_CONFIG_H_
#define FLAME_LAUNCH_CONFIG_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/options.h"
#include "encoders/options.h"
#include "model/options.h"
#include "reward/options.h"
#include "trainer/credit/credit.h"
#include "trainer/options.h"

namespace flame {

struct RunOptions {
  std::filesystem::path dir = "runs/default";  // folder of everything that the run writes
  int64_t seed = 1;
  int64_t threads = 0;  // arithmetic threads per process; 0: the machine's cores / local ranks
  void Bind(ConfigSchema* schema);
};

struct EvaluateOptions {
  std::string split = "test";  // or validation
  int64_t samples = 8;         // lists sampled per visit for jaccard_sampled
  int64_t bootstrap = 2000;    // bootstrap resamples over patients
  void Bind(ConfigSchema* schema);
};

struct Config {
  RunOptions run;
  DataOptions data;
  PromptOptions prompts;
  TaskOptions tasks;
  ModelOptions model;
  EncoderOptions encoders;
  MicronOptions micron;
  RaremedOptions raremed;
  MoleculeOptions molecule;
  ClassifierOptions classifier;
  SftOptions list;
  GrpoOptions grpo;
  RewardOptions reward;
  CreditOptions credit;
  ClusterOptions cluster;
  EvaluateOptions evaluate;

  void Bind(ConfigSchema* schema);
  // Returns the keys under `prefixes` as lines "name=value".
  std::string Canonical(const std::vector<std::string>& prefixes) const;
  std::string ResolvedYaml() const;
};

// Reads and checks `file` and `overrides`. Keys that are set in neither have the defaults of
// grpo.preset. Throws UsageError.
Config LoadConfig(const std::filesystem::path& file, const std::vector<std::string>& overrides);

// Returns every key with its default, range and meaning, in lines of at most `width` columns.
std::string ConfigHelp(size_t width);
// Returns the same as Markdown, with one table for each section: docs/config.md.
std::string ConfigReference();
// Returns the name of every key, sorted: "classifier.batch", ...
std::vector<std::string> ConfigKeyNames();

}  // namespace flame

#endif  // FLAME_LAUNCH_CONFIG_CONFIG_H_
