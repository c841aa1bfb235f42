#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/progress.h"
#include "launch/sweep/report.h"

namespace flame {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;

// The numbers of a trial in the CSV file.
const std::vector<std::string>& Columns() {
  static const std::vector<std::string> columns = {
      "jaccard", "jaccard_sampled", "f1", "prauc", "ddi", "drugs"};
  return columns;
}

std::string Number(const json& row, const std::string& column, const char* format) {
  const json value = row.is_object() ? row.value(column, json()) : json();
  if (!value.is_number()) return "";
  char text[32];
  std::snprintf(text, sizeof text, format, value.get<double>());
  return text;
}

std::string Aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths(rows[0].size());
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

// Quotes a field as RFC 4180 does.
std::string Quoted(const std::string& field) {
  if (field.find_first_of(",\"\n") == std::string::npos) return field;
  std::string text = "\"";
  for (const char c : field) text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

// Returns the owner of a running job, and how long it has been silent if that exceeds the deadline.
std::string WorkerText(const JobStatus& status, double deadline) {
  if (status.state != JobState::kRunning) return "";
  if (status.silence <= deadline) return status.owner;
  return StrCat(status.owner, ", silent for ", HumanDuration(status.silence));
}

json SettingsJson(const Settings& settings) {
  json object = json::object();
  for (const auto& [key, value] : settings) object[key] = value;
  return object;
}

json SummaryJson(const Summary& summary) {
  json object = {{"count", summary.count}, {"mean", summary.mean}, {"half_width", nullptr}};
  if (summary.half_width) object["half_width"] = *summary.half_width;
  return object;
}

std::string BestText(const SweepResults& results) {
  const std::vector<SweepPoint> points = PointsOf(results);
  const auto best = BestPoint(points, results.criterion);
  const std::string criterion = CriterionText(results.criterion);
  const auto left = std::any_of(points.begin(), points.end(),
                                [](const SweepPoint& point) { return !point.complete; });
  if (!best && left) return "best: none yet (" + criterion + ", all seeds done)\n";
  if (!best) return "best: none, for no point meets the criterion (" + criterion + ")\n";
  const auto left_out = std::count_if(points.begin(), points.end(),
                                      [](const SweepPoint& point) { return !point.complete; });
  return StrCat("best: ", PointName(points[*best].settings, VariedKeys(results)), " (", criterion,
                ": ", *ScoreOf(points[*best], results.criterion), ")",
                left_out == 0 ? ""
                              : StrCat("; left out: ", left_out, " of ", points.size(),
                                       " points, whose trials are not all done and whole"),
                "\n");
}

}  // namespace

std::string ValueOf(const Settings& settings, const std::string& key) {
  for (const auto& [name, value] : settings) {
    if (name == key) return value;
  }
  return "";
}

std::string PointName(const Settings& settings, const std::vector<std::string>& keys) {
  Settings named;
  for (const auto& setting : settings) {
    if (std::find(keys.begin(), keys.end(), setting.first) != keys.end()) named.push_back(setting);
  }
  return named.empty() ? "the base config" : SettingsText(named);
}

std::string DamageText(const SweepResults& results, const TrialResult& trial) {
  return StrCat(trial.id, " is damaged: ", trial.damage, "; made again once ",
                SweepClaims(results.dir).Folder(trial.id).string(), " and ",
                (results.dir / "trials" / trial.id).string(), " are deleted");
}

std::vector<std::string> VariedKeys(const SweepResults& results) {
  std::vector<std::string> keys, varied;
  for (const TrialResult& trial : results.trials) {
    for (const auto& [key, value] : trial.settings) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  for (const std::string& key : keys) {
    const std::string first = ValueOf(results.trials[0].settings, key);
    const bool differs = std::any_of(
        results.trials.begin(), results.trials.end(),
        [&](const TrialResult& trial) { return ValueOf(trial.settings, key) != first; });
    if (differs) varied.push_back(key);
  }
  return varied;
}

std::string SweepTable(const SweepResults& results) {
  const std::vector<std::string> keys = VariedKeys(results);
  std::vector<Row> rows = {
      {"trial", "settings", "seed", "state", "attempts", "jaccard", "ddi", "worker"}};
  for (const SharedStage& stage : results.stages) {
    rows.push_back({stage.name, "", "", NameOf(stage.status.state),
                    std::to_string(stage.status.attempts), "", "",
                    WorkerText(stage.status, results.heartbeat_deadline)});
  }
  std::map<std::string, int> counts;
  for (const TrialResult& trial : results.trials) {
    ++counts[StateText(trial)];
    rows.push_back({trial.id, PointName(trial.settings, keys), std::to_string(trial.seed),
                    StateText(trial), std::to_string(trial.status.attempts),
                    Number(trial.row, "jaccard", "%.4f"), Number(trial.row, "ddi", "%.4f"),
                    WorkerText(trial.status, results.heartbeat_deadline)});
  }
  std::string text = Aligned(rows) + StrCat(results.trials.size(), " trials:");
  for (const auto& [state, count] : counts) text += StrCat(" ", count, " ", state);
  text += "\n";
  for (const TrialResult& trial : results.trials) {
    if (!trial.damage.empty()) text += DamageText(results, trial) + "\n";
  }
  return text + BestText(results);
}

json SweepJson(const SweepResults& results) {
  json stages = json::array(), trials = json::array(), list = json::array();
  for (const SharedStage& stage : results.stages) {
    stages.push_back({{"name", stage.name},
                      {"state", NameOf(stage.status.state)},
                      {"attempts", stage.status.attempts},
                      {"owner", stage.status.owner},
                      {"silence", stage.status.silence}});
  }
  for (const TrialResult& trial : results.trials) {
    trials.push_back({{"id", trial.id},
                      {"settings", SettingsJson(trial.settings)},
                      {"seed", trial.seed},
                      {"state", StateText(trial)},
                      {"damage", trial.damage},
                      {"attempts", trial.status.attempts},
                      {"owner", trial.status.owner},
                      {"silence", trial.status.silence},
                      {"row", trial.row}});
  }
  const std::vector<SweepPoint> points = PointsOf(results);
  for (const SweepPoint& point : points) {
    json columns = json::object();
    for (const auto& [name, summary] : point.columns) columns[name] = SummaryJson(summary);
    list.push_back({{"settings", SettingsJson(point.settings)},
                    {"complete", point.complete},
                    {"columns", columns}});
  }
  const auto best = BestPoint(points, results.criterion);
  return {{"dir", results.dir.string()},
          {"criterion", CriterionText(results.criterion)},
          {"best", best ? SettingsJson(points[*best].settings) : json()},
          {"stages", stages},
          {"trials", trials},
          {"points", list}};
}

std::string SweepCsv(const SweepResults& results) {
  const std::vector<std::string> keys = VariedKeys(results);
  std::string text = "id,seed";
  for (const std::string& key : keys) text += "," + Quoted(key);
  text += ",state";
  for (const std::string& column : Columns()) text += "," + column;
  text += "\n";
  for (const TrialResult& trial : results.trials) {
    text += StrCat(trial.id, ",", trial.seed);
    for (const std::string& key : keys) text += "," + Quoted(ValueOf(trial.settings, key));
    text += "," + StateText(trial);
    for (const std::string& column : Columns()) text += "," + Number(trial.row, column, "%.17g");
    text += "\n";
  }
  return text;
}

}  // namespace flame
