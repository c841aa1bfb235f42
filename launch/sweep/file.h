// A sweep file: what a sweep varies over a base config, and how its best trial is told.
//   base: configs/quickstart.yaml
//   dir: runs/sweep
//   seeds: [1, 2, 3]                             # run.seed of each
//   grid:                                        # every combination
//     reward.alpha: [0, 5, 20, 50]
//     credit.lambda: [0, 0.5]
//   list:                                        # trials by name
//     careful: {reward.alpha: 20, grpo.kl: 0.1}
//   random:                                      # drawn by random.seed
//     trials: 8
//     keys:
//       grpo.learning_rate: {log_uniform: [1e-5, 1e-3]}
#ifndef FLAME_LAUNCH_SWEEP_FILE_H_
#define FLAME_LAUNCH_SWEEP_FILE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "launch/run/config.h"

namespace flame {

// The best point has the highest mean of maximize - ddi_weight * ddi among those whose mean DDI
// rate is at most ddi_at_most. Means are over seeds.
struct SweepCriterion {
  std::string policy = "list-grpo";  // the row of evaluation.json
  std::string maximize = "jaccard";  // its column
  double ddi_at_most = 1;
  double ddi_weight = 0;
  void Bind(ConfigSchema* schema);
};

struct SweepOptions {
  std::filesystem::path base, dir;
  std::vector<int64_t> seeds;  // none: the base config's
  int64_t random_trials = 0;
  int64_t random_seed = 1;
  int64_t retries = 1;             // of a trial that a machine failed
  double heartbeat_deadline = 60;  // seconds after which a silent worker is taken for dead
  SweepCriterion criterion;
  void Bind(ConfigSchema* schema);
};

// Config keys and values, as a.b=value takes them.
using Settings = std::vector<std::pair<std::string, std::string>>;

// "a.b=1 c.d=2"
std::string SettingsText(const Settings& settings);

struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};

struct RandomAxis {
  enum class Kind { kUniform, kLogUniform, kInteger, kChoice };
  std::string key;
  Kind kind = Kind::kChoice;
  double low = 0, high = 0;          // both ends included; of kChoice unused
  std::vector<std::string> choices;  // of kChoice
};

struct SweepFile {
  SweepOptions options;
  std::vector<SweepAxis> grid;
  std::vector<std::pair<std::string, Settings>> list;  // by name
  std::vector<RandomAxis> random;
};

// Throws one UsageError with every fault, each with file, line and, of a misspelt key, the nearest.
SweepFile ReadSweepFile(const std::filesystem::path& file);

// The keys of a sweep file for --help, in lines of at most `width` columns.
std::string SweepFileHelp(size_t width);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_FILE_H_
