#include "launch/report/run_view.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/progress.h"
#include "data/corpus.h"
#include "launch/config/config.h"
#include "launch/config/input_digests.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "launch/report/html.h"
#include "launch/run/evaluate.h"
#include "recommend/evaluation/rows.h"
#include "rollout/trajectory.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Returns the whole rows of folder/metrics.jsonl; none without the file. A last line without its
// end is being written.
std::vector<json> ReadRows(const fs::path& folder) {
  const fs::path file = folder / "metrics.jsonl";
  std::vector<json> rows;
  if (!fs::exists(file)) return rows;
  const std::string text = ReadWholeFile(file);
  std::istringstream lines(text.substr(0, text.rfind('\n') + 1));
  for (std::string line; std::getline(lines, line);) {
    json row = json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.value("step", json()).is_number_integer()) {
      throw DataError(file.string(), ":", rows.size() + 1, ": expected a JSON object with a step");
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

// Calls `read`, which reads `file`, and notes its error.
template <class Read>
void Try(RunView* run, const fs::path& file, Read read) {
  try {
    read();
  } catch (const Error& error) {
    run->faults.emplace_back(error.what());
  } catch (const json::exception& error) {
    run->faults.push_back(file.string() + ": " + error.what());
  } catch (const fs::filesystem_error& error) {
    run->faults.emplace_back(error.what());
  }
}

// Returns the first shard and the last; none if there is none.
std::set<fs::path> FirstAndLastShard(const fs::path& folder) {
  std::set<fs::path> shards;
  if (!fs::is_directory(folder)) return shards;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".h5") shards.insert(entry.path());
  }
  if (shards.size() > 2) shards = {*shards.begin(), *shards.rbegin()};
  return shards;
}

// Orders groups that a reader learns most from first: those whose members differ in reward.
double Spread(const Group& group) {
  const auto [least, most] = std::minmax_element(
      group.members.begin(), group.members.end(),
      [](const Trajectory& a, const Trajectory& b) { return a.verdict.reward < b.verdict.reward; });
  return most->verdict.reward - least->verdict.reward;
}

void ReadSamples(RunView* run, size_t count) {
  const GroupViewer viewer(run->dir);
  for (const fs::path& shard : FirstAndLastShard(run->dir / "grpo" / "rollouts")) {
    RunView::Sample sample{shard.filename().string(), {}};
    Try(run, shard, [&] {
      std::vector<Group> groups = ReadShard(shard);
      std::stable_sort(groups.begin(), groups.end(),
                       [](const Group& a, const Group& b) { return Spread(a) > Spread(b); });
      for (size_t i = 0; i < std::min(count, groups.size()); ++i) {
        sample.groups.push_back(viewer.View(groups[i]));
      }
    });
    // A training that goes on deletes its oldest shards.
    if (sample.groups.empty() && !fs::exists(shard)) run->faults.pop_back();
    if (!sample.groups.empty()) run->samples.push_back(std::move(sample));
  }
}

void ReadData(RunView* run) {
  const fs::path file = RunPaths(run->dir).corpus();
  if (!fs::exists(file)) return;
  const Corpus corpus = ReadCorpus(file);
  run->data =
      StrCat(corpus.hospital, ": ", corpus.num_patients, " patients, ", corpus.visits.size(),
             " visits (", corpus.VisitsOf(Split::kTrain).size(), " training, ",
             corpus.VisitsOf(Split::kValidation).size(), " validation, ",
             corpus.VisitsOf(Split::kTest).size(), " test), ", corpus.drugs.size(), " drugs, ",
             corpus.diagnoses.size(), " diagnoses, ", corpus.procedures.size(), " procedures");
  run->funnel = corpus.funnel;
}

// A word as bash reads it.
std::string InShell(const std::string& word) {
  const std::string plain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+=,:@%";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

// Marks done stages after one that is not done as stale.
void MarkLater(std::vector<std::pair<std::string, StageState>>* stages) {
  std::string earlier;
  for (auto& [name, state] : *stages) {
    if (state.state == StageState::kDone && !earlier.empty()) {
      state.state = StageState::kStale;
      state.why = "comes after " + earlier;
    } else if (state.state != StageState::kDone && earlier.empty()) {
      earlier = name + ", which is " + StateName(state.state);
    }
  }
}

// Returns the stage's state. Files that the config names are compared with what the stage read.
StageState StateOf(const Config& config, const std::string& stage) {
  StageState state = StateOfStage(config.run.dir, stage, StageSettings(config, stage));
  if (state.state != StageState::kDone || (stage != "prepare" && stage != "encode")) return state;
  try {
    CheckInputsUnchanged(config, stage);
  } catch (const std::exception& error) {  // of a damaged file of digests too
    state.state = StageState::kStale;
    state.why = error.what();
  }
  return state;
}

// Returns how far a training has come; "" if it has no metrics.
std::string ProgressText(const RunView& run, const std::string& stage) {
  const auto rows = run.metrics.find(stage);
  if (rows == run.metrics.end() || rows->second.empty()) return "";
  const json& last = rows->second.back();
  std::string text = StrCat("step ", last.at("step").get<int64_t>());
  for (const char* figure : {"loss", "reward_mean"}) {
    if (std::string(figure) == "loss" && last.contains("reward_mean")) continue;
    if (last.value(figure, json()).is_number()) {
      text += StrCat(", ", figure, " ", Fixed(last.at(figure)));
    }
  }
  return text;
}

std::string RowText(const json& row) {
  return StrCat(row.at("policy").get<std::string>(), " ", Fixed(row.at("jaccard")), " [",
                Fixed(row.at("jaccard_ci")[0]), ", ", Fixed(row.at("jaccard_ci")[1]), "]");
}

}  // namespace

bool RunView::done() const {
  return !stages.empty() && std::all_of(stages.begin(), stages.end(), [](const auto& stage) {
    return stage.second.state == StageState::kDone;
  });
}

json RunView::Row(const std::string& policy) const {
  if (evaluation.is_null()) return nullptr;
  for (const json& row : evaluation.at("rows")) {
    if (row.at("policy") == policy) return row;
  }
  return nullptr;
}

json RunView::BestBaseline() const {
  json best;
  if (evaluation.is_null()) return best;
  for (const json& row : evaluation.at("rows")) {
    if (IsLanguageModel(row.at("policy"))) continue;
    if (best.is_null() || row.at("jaccard") > best.at("jaccard")) best = row;
  }
  return best;
}

std::string RunView::NextCommand() const {
  const std::string folder = InShell(dir.string());
  if (stages.empty()) return "flame config --config " + InShell((dir / "config.yaml").string());
  if (!done()) {
    return StrCat("flame pipeline --config ", InShell((dir / "config.yaml").string()),
                  " run.dir=", folder);
  }
  return StrCat("flame report ", folder, ", or flame export --run ", folder, " --out DIR");
}

RunView ReadRun(const fs::path& dir) {
  const RunPaths paths(dir);
  if (!fs::is_regular_file(paths.config())) {
    throw UsageError(dir.string(), ": no config.yaml; expected the folder of a run");
  }
  RunView run;
  run.dir = dir;
  const fs::path whole = fs::absolute(dir).lexically_normal();
  run.name = (whole.has_filename() ? whole : whole.parent_path()).filename().string();
  Try(&run, paths.config(), [&] {
    Config config = LoadConfig(paths.config(), {});
    config.run.dir = dir;  // a run may have been moved
    for (const char* stage :
         {"prepare", "encode", "classifier", "tasks", "list", "grpo", "evaluate"}) {
      if (std::string(stage) == "encode" && !config.encoders.TrainsAny()) continue;
      run.stages.emplace_back(stage, StateOf(config, stage));
    }
    MarkLater(&run.stages);
  });
  for (const char* stage : {"classifier", "list", "grpo"}) {
    Try(&run, paths.stage(stage), [&] { run.metrics[stage] = ReadRows(paths.stage(stage)); });
  }
  Try(&run, paths.evaluation(), [&] {
    if (fs::exists(paths.evaluation())) run.evaluation = ReadEvaluation(paths.evaluation());
  });
  return run;
}

RunView ReadWholeRun(const fs::path& dir, size_t groups) {
  RunView run = ReadRun(dir);
  Try(&run, RunPaths(dir).corpus(), [&] { ReadData(&run); });
  Try(&run, dir, [&] { ReadSamples(&run, groups); });
  return run;
}

std::string RunText(const RunView& run) {
  std::string text = "run " + run.dir.string() + "\n";
  for (const auto& [name, state] : run.stages) {
    char line[64];
    std::snprintf(line, sizeof line, "  %-11s %-9s", name.c_str(), StateName(state.state));
    text += line;
    if (state.seconds > 0) text += " " + HumanDuration(state.seconds);
    const std::string progress = ProgressText(run, name);
    if (!progress.empty()) text += (state.seconds > 0 ? ", " : " ") + progress;
    if (!state.why.empty()) text += ": " + state.why;
    text += "\n";
  }
  for (const std::string& fault : run.faults) text += "  not readable: " + fault + "\n";
  for (const json& row :
       {run.BestBaseline(), run.Row("classifier-calibrated"), run.Row("list-grpo")}) {
    if (!row.is_null()) text += "Jaccard " + RowText(row) + "\n";
  }
  if (!run.evaluation.is_null() && run.evaluation.value("oracle", json()).is_object()) {
    text += "Jaccard that the best possible policy can expect " +
            Fixed(run.evaluation.at("oracle").at("list")) + "\n";
  }
  return text + "next: " + run.NextCommand() +
         "\nResearch software: it must not be used to treat patients.\n";
}

json RunJson(const RunView& run) {
  json stages = json::array();
  for (const auto& [name, state] : run.stages) {
    const auto rows = run.metrics.find(name);
    const bool steps = rows != run.metrics.end() && !rows->second.empty();
    stages.push_back({{"stage", name},
                      {"state", StateName(state.state)},
                      {"why", state.why},
                      {"seconds", state.seconds},
                      {"last_step", steps ? rows->second.back() : json()}});
  }
  return {{"run", run.dir.string()},
          {"stages", stages},
          {"faults", run.faults},
          {"rows", run.evaluation.is_null() ? json() : run.evaluation.at("rows")},
          {"next", run.NextCommand()}};
}

}  // namespace flame
