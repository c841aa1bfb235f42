#include "launch/sweep/trials.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/error.h"
#include "base/files/checksum.h"
#include "base/random.h"
#include "launch/config/input_digests.h"
#include "launch/config/stage_inputs.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

std::string Short(const std::string& sha256) { return sha256.substr(0, 10); }

std::vector<Settings> GridPoints(const std::vector<SweepAxis>& axes) {
  if (axes.empty()) return {};
  std::vector<Settings> points = {{}};
  for (const SweepAxis& axis : axes) {
    std::vector<Settings> longer;
    for (const Settings& point : points) {
      for (const std::string& value : axis.values) {
        longer.push_back(point);
        longer.back().push_back({axis.key, value});
      }
    }
    points = std::move(longer);
  }
  return points;
}

// Formats a value with four digits, or more if the range is narrow: enough for a search, and short
// to read.
std::string Rounded(double value, const RandomAxis& axis) {
  const double largest = std::max(std::abs(axis.low), std::abs(axis.high));
  const int narrow = static_cast<int>(std::log10(largest / (axis.high - axis.low)));
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", 4 + std::max(narrow, 0), value);
  const double rounded = std::strtod(text, nullptr);
  if (rounded < axis.low || rounded > axis.high) {
    std::snprintf(text, sizeof text, "%.17g", value);
  }
  return text;
}

// Maps `uniform` in [0, 1) to a value of the axis.
std::string Drawn(const RandomAxis& axis, double uniform) {
  switch (axis.kind) {
    case RandomAxis::Kind::kUniform:
      return Rounded(axis.low + uniform * (axis.high - axis.low), axis);
    case RandomAxis::Kind::kLogUniform:
      return Rounded(axis.low * std::pow(axis.high / axis.low, uniform), axis);
    case RandomAxis::Kind::kInteger:
      return std::to_string(
          static_cast<int64_t>(axis.low + std::floor(uniform * (axis.high - axis.low + 1))));
    case RandomAxis::Kind::kChoice:
      break;
  }
  return axis.choices[static_cast<size_t>(uniform * static_cast<double>(axis.choices.size()))];
}

// Draws the random points. A point depends on its number, not on the number of points, so that a
// search can be extended.
std::vector<Settings> DrawnPoints(const SweepFile& file) {
  std::vector<Settings> points;
  for (int64_t i = 0; i < file.options.random_trials; ++i) {
    const RandomStream stream(static_cast<uint64_t>(file.options.random_seed), kSweep,
                              static_cast<uint32_t>(i));
    Settings point;
    for (size_t key = 0; key < file.random.size(); ++key) {
      const RandomAxis& axis = file.random[key];
      point.push_back({axis.key, Drawn(axis, stream.UniformAt(static_cast<uint32_t>(key)))});
    }
    points.push_back(std::move(point));
  }
  return points;
}

// Returns the points of grid, list and random. A key to which the grid gives a single value holds
// for the points of list and random, too, unless these set it themselves.
std::vector<Settings> AllPoints(const SweepFile& file) {
  std::vector<Settings> added;
  for (const auto& [name, settings] : file.list) added.push_back(settings);
  for (Settings& point : DrawnPoints(file)) added.push_back(std::move(point));
  const auto fixed = [](const SweepAxis& axis) { return axis.values.size() == 1; };
  const bool varies = !std::all_of(file.grid.begin(), file.grid.end(), fixed);
  std::vector<Settings> points;
  if (varies || added.empty()) points = GridPoints(file.grid);
  for (Settings& point : added) {
    for (const SweepAxis& axis : file.grid) {
      const auto same = [&axis](const auto& setting) { return setting.first == axis.key; };
      if (fixed(axis) && std::none_of(point.begin(), point.end(), same)) {
        point.push_back({axis.key, axis.values.front()});
      }
    }
    points.push_back(std::move(point));
  }
  if (points.empty()) points.push_back({});  // only the base config, over the seeds
  return points;
}

Trial MakeTrial(const SweepFile& file, const Settings& settings, const int64_t* seed) {
  std::vector<std::string> overrides;
  for (const auto& [key, value] : settings) overrides.push_back(key + "=" + value);
  if (seed != nullptr) overrides.push_back(StrCat("run.seed=", *seed));
  Trial trial;
  trial.settings = settings;
  try {
    trial.config = LoadConfig(file.options.base, overrides);
  } catch (const UsageError& error) {
    throw UsageError("trial '", SettingsText(settings), "' of ", file.options.base.string(), ": ",
                     error.what());
  }
  const ClusterOptions& cluster = trial.config.cluster;
  if (cluster.learners + cluster.rollouts + cluster.rewards > 1) {
    throw UsageError("cluster.learners, rollouts and rewards of ", file.options.base.string(),
                     " ask for ", cluster.learners + cluster.rollouts + cluster.rewards,
                     " ranks; a trial of a sweep is one process: expected them at 0");
  }
  trial.seed = trial.config.run.seed;
  trial.config.run.dir = "trial";
  trial.id = Short(Sha256(trial.config.Canonical({""})));
  trial.config.run.dir = file.options.dir / "trials" / trial.id;
  return trial;
}

std::string ValueIn(const Config& config, const std::string& key) {
  std::string text = config.Canonical({key}).substr(key.size() + 1);
  text.pop_back();  // the line end
  const bool quoted = text.size() > 2 && text.front() == '"' && text.back() == '"';
  return quoted ? text.substr(1, text.size() - 2) : text;
}

// Gives every trial a setting for each key that any trial sets, in one order and one spelling, so
// that a default in one trial compares with a set value in another.
void SpellOut(std::vector<Trial>* trials) {
  std::vector<std::string> keys;
  for (const Trial& trial : *trials) {
    for (const auto& [key, value] : trial.settings) {
      if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
    }
  }
  for (Trial& trial : *trials) {
    trial.settings.clear();
    for (const std::string& key : keys) {
      trial.settings.push_back({key, ValueIn(trial.config, key)});
    }
  }
}

void CheckOneSplit(const std::vector<Trial>& trials) {
  const std::string& split = trials[0].config.evaluate.split;
  for (const Trial& trial : trials) {
    if (trial.config.evaluate.split == split) continue;
    throw UsageError("trial '", SettingsText(trial.settings), "' has evaluate.split ",
                     trial.config.evaluate.split, ", another has ", split,
                     "; expected one in all trials of a sweep, which are compared");
  }
}

using StageCommand = std::pair<std::string, std::vector<std::string>>;

// The stages before GRPO, each with the command that makes it.
std::vector<StageCommand> SharedStages(const Config& config) {
  std::vector<StageCommand> stages = {{"prepare", {"prepare"}},
                                      {"encode", {"encode"}},
                                      {"classifier", {"sft", "classifier"}},
                                      {"tasks", {"tasks"}},
                                      {"list", {"sft", "list"}}};
  if (!config.encoders.TrainsAny()) stages.erase(stages.begin() + 1);
  return stages;
}

}  // namespace

std::vector<Trial> ExpandSweep(const SweepFile& file) {
  std::vector<const int64_t*> seeds;  // null: the base config's seed
  for (const int64_t& seed : file.options.seeds) seeds.push_back(&seed);
  if (seeds.empty()) seeds.push_back(nullptr);
  std::vector<Trial> trials;
  std::set<std::string> seen;
  for (const Settings& point : AllPoints(file)) {
    for (const int64_t* seed : seeds) {
      Trial trial = MakeTrial(file, point, seed);
      if (seen.insert(trial.id).second) trials.push_back(std::move(trial));
    }
  }
  SpellOut(&trials);
  CheckOneSplit(trials);
  return trials;
}

std::vector<SweepJob> PlanJobs(const fs::path& dir, const std::vector<Trial>& trials) {
  std::vector<SweepJob> jobs;
  // Returns the index of the job with this name; adds it if it is new.
  const auto add = [&](SweepJob job) {
    for (size_t i = 0; i < jobs.size(); ++i) {
      if (jobs[i].name == job.name) return static_cast<int>(i);
    }
    job.config.run.dir = job.folder;
    jobs.push_back(std::move(job));
    return static_cast<int>(jobs.size()) - 1;
  };
  for (const Trial& trial : trials) {
    int parent = -1;
    std::string key;
    for (const auto& [stage, command] : SharedStages(trial.config)) {
      key = Sha256(key + StageSettings(trial.config, stage) + InputPaths(trial.config, stage));
      const std::string name = stage + "-" + Short(key);
      parent = add({name, "stage " + stage, dir / "stages" / name, parent, command, trial.config});
    }
    const std::string what = SettingsText(trial.settings);
    add({trial.id,
         StrCat(what, what.empty() ? "" : " ", "run.seed=", trial.seed),
         dir / "trials" / trial.id,
         parent,
         {"pipeline"},
         trial.config});
  }
  return jobs;
}

}  // namespace flame
