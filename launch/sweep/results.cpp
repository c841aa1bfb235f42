#include "launch/sweep/results.h"

#include <algorithm>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Returns the folder of a sweep, given its file or its folder.
fs::path DirOf(const fs::path& place) {
  const fs::path dir = fs::is_directory(place) ? place : ReadSweepFile(place).options.dir;
  return dir.has_filename() ? dir : dir.parent_path();  // "runs/x/" is "runs/x"
}

json ReadRecord(const fs::path& dir) {
  const fs::path file = dir / "sweep.json";
  if (!fs::exists(file)) {
    throw DataError(dir.string(),
                    ": expected a sweep's folder, found no sweep.json; `flame sweep "
                    "FILE` makes it");
  }
  json record = json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) throw DataError(file.string(), ": expected a JSON object");
  return record;
}

json RowOf(const json& evaluation, const std::string& policy, const fs::path& file) {
  for (const json& row : evaluation.at("rows")) {
    if (row.at("policy") == policy) return row;
  }
  throw DataError(file.string(), ": expected a row of the policy ", policy);
}

// Returns a job's status. A job whose parent failed has failed, too.
JobStatus StatusOf(const SweepClaims& claims, const std::string& name, int64_t retries,
                   bool parent_failed) {
  const std::vector<Attempt> attempts = claims.AttemptsAt(name);
  JobStatus status;
  status.state = parent_failed ? JobState::kFailed : StateOf(attempts, retries);
  status.attempts = static_cast<int64_t>(attempts.size());
  if (!attempts.empty()) {
    status.owner = attempts.back().owner;
    status.silence = attempts.back().silence;
  }
  return status;
}

void ReadEvaluation(const fs::path& dir, const SweepCriterion& criterion, TrialResult* trial) {
  const fs::path file = RunPaths(dir / "trials" / trial->id).evaluation();
  try {
    json evaluation = json::parse(ReadWholeFile(file));
    json row = RowOf(evaluation, criterion.policy, file);
    for (const std::string& column :
         {std::string("jaccard"), std::string("ddi"), criterion.maximize}) {
      row.at(column).get<double>();
    }
    evaluation.at("num_visits").get<int64_t>();
    evaluation.at("split").get<std::string>();
    evaluation.at("truth").at("ddi").get<double>();
    trial->evaluation = std::move(evaluation);
    trial->row = std::move(row);
  } catch (const json::exception& error) {
    trial->damage = StrCat(file.string(), ": ", error.what());
  } catch (const Error& error) {
    trial->damage = error.what();
  }
}

SweepResults FromRecord(const fs::path& dir, const json& record) {
  SweepResults results;
  results.dir = dir;
  const json& criterion = record.at("criterion");
  results.criterion = {criterion.at("policy"), criterion.at("maximize"),
                       criterion.at("ddi_at_most"), criterion.at("ddi_weight")};
  results.heartbeat_deadline = record.at("heartbeat_deadline");
  const int64_t retries = record.at("retries");
  const SweepClaims claims(dir);
  std::map<std::string, bool> failed;
  for (const json& entry : record.at("stages")) {
    SharedStage stage;
    stage.name = entry.at("name");
    stage.status =
        StatusOf(claims, stage.name, retries, failed[entry.at("parent").get<std::string>()]);
    failed[stage.name] = stage.status.state == JobState::kFailed;
    results.stages.push_back(std::move(stage));
  }
  for (const json& entry : record.at("trials")) {
    TrialResult trial;
    trial.id = entry.at("id");
    trial.seed = entry.at("seed");
    for (const json& setting : entry.at("settings")) {
      trial.settings.push_back({setting.at(0), setting.at(1)});
    }
    trial.status =
        StatusOf(claims, trial.id, retries, failed[entry.at("parent").get<std::string>()]);
    if (trial.status.state == JobState::kDone) ReadEvaluation(dir, results.criterion, &trial);
    results.trials.push_back(std::move(trial));
  }
  if (results.trials.empty()) throw DataError(dir.string(), ": sweep.json holds no trial");
  return results;
}

}  // namespace

void WriteSweepRecord(const SweepFile& file, const std::vector<Trial>& trials,
                      const std::vector<SweepJob>& jobs) {
  const SweepCriterion& criterion = file.options.criterion;
  json record = {{"criterion",
                  {{"policy", criterion.policy},
                   {"maximize", criterion.maximize},
                   {"ddi_at_most", criterion.ddi_at_most},
                   {"ddi_weight", criterion.ddi_weight}}},
                 {"retries", file.options.retries},
                 {"heartbeat_deadline", file.options.heartbeat_deadline},
                 {"stages", json::array()},
                 {"trials", json::array()}};
  std::map<std::string, const Trial*> by_id;
  for (const Trial& trial : trials) by_id[trial.id] = &trial;
  for (const SweepJob& job : jobs) {
    const std::string parent = job.parent < 0 ? "" : jobs[job.parent].name;
    const auto trial = by_id.find(job.name);
    if (trial == by_id.end()) {
      record["stages"].push_back({{"name", job.name}, {"parent", parent}});
      continue;
    }
    json settings = json::array();
    for (const auto& [key, value] : trial->second->settings) settings.push_back({key, value});
    record["trials"].push_back({{"id", job.name},
                                {"settings", settings},
                                {"seed", trial->second->seed},
                                {"parent", parent}});
  }
  WriteFileAtomically(file.options.dir / "sweep.json", record.dump(2) + "\n");
}

SweepResults ReadSweepResults(const fs::path& place) {
  const fs::path dir = DirOf(place);
  try {
    return FromRecord(dir, ReadRecord(dir));
  } catch (const json::exception& error) {
    throw DataError((dir / "sweep.json").string(), ": is incomplete: ", error.what());
  }
}

const char* NameOf(JobState state) {
  switch (state) {
    case JobState::kWaiting:
      return "waiting";
    case JobState::kRunning:
      return "running";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      break;
  }
  return "failed";
}

std::string StateText(const TrialResult& trial) {
  return trial.damage.empty() ? NameOf(trial.status.state) : "damaged";
}

Summary Summarize(const std::vector<double>& values) {
  Summary summary;
  summary.count = static_cast<int64_t>(values.size());
  if (values.empty()) return summary;
  const auto count = static_cast<double>(values.size());
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  if (values.size() < 2) return summary;
  double squares = 0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  const boost::math::students_t distribution(count - 1);
  summary.half_width =
      boost::math::quantile(distribution, 0.975) * std::sqrt(squares / (count - 1) / count);
  return summary;
}

std::vector<SweepPoint> PointsOf(const SweepResults& results) {
  std::vector<SweepPoint> points;
  for (size_t i = 0; i < results.trials.size(); ++i) {
    const Settings& settings = results.trials[i].settings;
    auto point = std::find_if(points.begin(), points.end(),
                              [&](const SweepPoint& known) { return known.settings == settings; });
    if (point == points.end())
      point = points.insert(points.end(), SweepPoint{settings, {}, true, {}});
    point->trials.push_back(i);
  }
  for (SweepPoint& point : points) {
    std::map<std::string, std::vector<double>> values;
    for (const size_t i : point.trials) {
      const TrialResult& trial = results.trials[i];
      point.complete =
          point.complete && trial.status.state == JobState::kDone && trial.damage.empty();
      for (const auto& [column, value] : trial.row.items()) {
        if (value.is_number()) values[column].push_back(value);
      }
    }
    for (const auto& [column, list] : values) point.columns[column] = Summarize(list);
  }
  return points;
}

std::optional<double> ScoreOf(const SweepPoint& point, const SweepCriterion& criterion) {
  const auto maximized = point.columns.find(criterion.maximize), ddi = point.columns.find("ddi");
  if (!point.complete || maximized == point.columns.end() || ddi == point.columns.end() ||
      ddi->second.mean > criterion.ddi_at_most) {
    return std::nullopt;
  }
  return maximized->second.mean - criterion.ddi_weight * ddi->second.mean;
}

std::optional<size_t> BestPoint(const std::vector<SweepPoint>& points,
                                const SweepCriterion& criterion) {
  std::optional<size_t> best;
  double highest = 0;
  for (size_t i = 0; i < points.size(); ++i) {
    const auto score = ScoreOf(points[i], criterion);
    if (!score || (best && *score <= highest)) continue;
    best = i;
    highest = *score;
  }
  return best;
}

std::string CriterionText(const SweepCriterion& criterion) {
  std::string text = "highest " + criterion.maximize;
  if (criterion.ddi_weight > 0) text += StrCat(" - ", criterion.ddi_weight, " ddi");
  text += " of " + criterion.policy;
  if (criterion.ddi_at_most < 1) {
    text += StrCat(" with a DDI rate of at most ", criterion.ddi_at_most);
  }
  return text;
}

}  // namespace flame
