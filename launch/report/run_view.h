// A run folder as a report shows it. A run that is going on, or that has failed, lacks parts.
#ifndef FLAME_LAUNCH_REPORT_RUN_VIEW_H_
#define FLAME_LAUNCH_REPORT_RUN_VIEW_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "data/funnel.h"
#include "launch/report/group_view.h"
#include "launch/run/stage.h"

namespace flame {

struct RunView {
  std::filesystem::path dir;
  std::string name;  // of the folder
  // Every stage of the run's config, in order.
  std::vector<std::pair<std::string, StageState>> stages;
  // The training data in one line; "" before they are prepared.
  std::string data;
  std::vector<FunnelStep> funnel;
  // The rows of metrics.jsonl of classifier, list and grpo.
  std::map<std::string, std::vector<nlohmann::json>> metrics;
  nlohmann::json evaluation;  // evaluation.json; null: not evaluated
  // Some groups of the first shard that is kept and of the last one.
  struct Sample {
    std::string shard;  // its file's name
    std::vector<GroupView> groups;
  };
  std::vector<Sample> samples;
  std::vector<std::string> faults;  // files that could not be read, and why

  bool done() const;  // all stages are
  // The row of a policy in the evaluation; null without one.
  nlohmann::json Row(const std::string& policy) const;
  // The row of the best recommender that is no language model; null without an evaluation.
  nlohmann::json BestBaseline() const;
  // The command that takes the run further.
  std::string NextCommand() const;
};

// Reads the stages, metrics and evaluation of a run folder. Throws UsageError if the folder has no
// config.yaml. Other files that cannot be read are named in `faults`.
RunView ReadRun(const std::filesystem::path& dir);

// Reads also the corpus's funnel and at most `groups` groups of the first shard and of the last.
RunView ReadWholeRun(const std::filesystem::path& dir, size_t groups);

// The run in words: its stages, figures and next command; one screen.
std::string RunText(const RunView& run);
nlohmann::json RunJson(const RunView& run);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_RUN_VIEW_H_
