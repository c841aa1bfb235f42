// The trials of a sweep, and the jobs that make them: a trial is GRPO and evaluation; the stages
// before are jobs of their own, one for all trials whose configs agree on what they depend on.
#ifndef FLAME_LAUNCH_SWEEP_TRIALS_H_
#define FLAME_LAUNCH_SWEEP_TRIALS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/sweep/file.h"

namespace flame {

struct Trial {
  std::string id;     // 10 hex digits: a digest of the config, run.dir aside
  Settings settings;  // of its point, run.seed aside: of every key that any point sets
  int64_t seed = 0;
  Config config;  // run.dir is the trial's folder
};

// Grid points, the last key fastest, then listed, then drawn points; of each one trial a seed.
// Where two have the same config the first stays. Throws UsageError naming the settings that do not
// go together, that evaluate on another split than others, or that need several ranks.
std::vector<Trial> ExpandSweep(const SweepFile& file);

struct SweepJob {
  std::string name;  // "list-1a2b3c4d5e", or a trial's id
  std::string what;  // for people: "stage list", or the trial's settings
  std::filesystem::path folder;
  int parent = -1;                   // the job whose stages it starts from; it comes earlier
  std::vector<std::string> command;  // of flame, without its config
  Config config;                     // run.dir is `folder`
};

// `trials` each after the jobs of their shared stages, in folders dir/stages/NAME and
// dir/trials/ID.
std::vector<SweepJob> PlanJobs(const std::filesystem::path& dir, const std::vector<Trial>& trials);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_TRIALS_H_
