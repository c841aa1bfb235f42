// A sweep file: the keys that a sweep varies over a base config, and the criterion for its best
// point.
//   base: configs/quickstart.yaml
//   dir: runs/sweep
//   seeds: [1, 2, 3]                             # run.seed of the trials of each point
//   grid:                                        # every combination
//     reward.alpha: [0, 5, 20, 50]
//     credit.lambda: [0, 0.5]
//   list:                                        # points by name
//     careful: {reward.alpha: 20, grpo.kl: 0.1}
//   random:                                      # points drawn by random.seed
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

#include "launch/config/config.h"

namespace flame {

// The best point has the highest mean of maximize - ddi_weight * ddi among the points whose mean
// DDI rate is at most ddi_at_most. Means are over seeds.
struct SweepCriterion {
  std::string policy = "list-grpo";  // row of evaluation.json
  std::string maximize = "jaccard";  // column of that row
  double ddi_at_most = 1;
  double ddi_weight = 0;
  void Bind(ConfigSchema* schema);
};

struct SweepOptions {
  std::filesystem::path base, dir;
  std::vector<int64_t> seeds;  // empty: the base config's seed
  int64_t random_trials = 0;
  int64_t random_seed = 1;
  int64_t retries = 1;             // retries of a trial that failed because of its machine
  double heartbeat_deadline = 60;  // seconds after which a silent worker is taken for dead
  SweepCriterion criterion;
  void Bind(ConfigSchema* schema);
};

// Config keys and values in the form that a.b=value takes.
using Settings = std::vector<std::pair<std::string, std::string>>;

// Returns "a.b=1 c.d=2".
std::string SettingsText(const Settings& settings);

struct SweepAxis {
  std::string key;
  std::vector<std::string> values;
};

struct RandomAxis {
  enum class Kind { kUniform, kLogUniform, kInteger, kChoice };
  std::string key;
  Kind kind = Kind::kChoice;
  double low = 0, high = 0;          // both ends included; unused for kChoice
  std::vector<std::string> choices;  // for kChoice only
};

struct SweepFile {
  SweepOptions options;
  std::vector<SweepAxis> grid;
  std::vector<std::pair<std::string, Settings>> list;  // by name
  std::vector<RandomAxis> random;
};

// Reads and checks a sweep file. Throws one UsageError with all faults, each with file, line and,
// for a misspelt key, the nearest known key.
SweepFile ReadSweepFile(const std::filesystem::path& file);

// The keys of a sweep file for --help, in lines of at most `width` columns.
std::string SweepFileHelp(size_t width);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_FILE_H_
