// The trials of a sweep, and the jobs that make them. A trial's own job is GRPO and evaluation. The
// stages before are jobs of their own, shared by all trials whose configs agree on the settings
// that the stages depend on.
#ifndef FLAME_LAUNCH_SWEEP_TRIALS_H_
#define FLAME_LAUNCH_SWEEP_TRIALS_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/sweep/file.h"

namespace flame {

struct Trial {
  std::string id;     // 10 hex digits: a digest of the config without run.dir
  Settings settings;  // its value of every key but run.seed that any point sets
  int64_t seed = 0;
  Config config;  // run.dir is the trial's folder
};

// Returns the trials of the grid points (the last key varies fastest), then of the listed and then
// of the drawn points, with one trial per point and seed. Of trials with the same config only the
// first stays. Throws UsageError naming settings that do not fit together, that evaluate on another
// split than other trials, or that need several ranks.
std::vector<Trial> ExpandSweep(const SweepFile& file);

struct SweepJob {
  std::string name;  // "list-1a2b3c4d5e", or a trial's id
  std::string what;  // for people: "stage list", or the trial's settings
  std::filesystem::path folder;
  int parent = -1;  // index of the earlier job whose stages it starts from; -1: none
  std::vector<std::string> command;  // words of a flame command, without its config
  Config config;                     // run.dir is `folder`
};

// Returns the jobs of `trials`, each trial after the jobs of its shared stages. Folders are
// dir/stages/NAME and dir/trials/ID.
std::vector<SweepJob> PlanJobs(const std::filesystem::path& dir, const std::vector<Trial>& trials);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_TRIALS_H_
