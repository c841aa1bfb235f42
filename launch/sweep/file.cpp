#include "launch/sweep/file.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/config_source.h"
#include "base/error.h"

namespace flame {
namespace {

using Strings = std::vector<std::string>;

const Strings& KindNames() {  // in the order of RandomAxis::Kind
  static const Strings names = {"uniform", "log_uniform", "integer", "choice"};
  return names;
}

bool ParseNumber(const std::string& text, double* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end && std::isfinite(*value);
}

// Sorts the values of a sweep file into its parts and checks each against the config's keys.
class Reader {
 public:
  SweepFile Read(const std::filesystem::path& path) {
    for (ConfigValue& value : ReadConfigFile(path, &faults_)) Sort(std::move(value));
    ConfigSchema schema;
    file_.options.Bind(&schema);
    for (std::string& fault : schema.Set(own_)) faults_.push_back(std::move(fault));
    RequireOptions(path);
    for (const ConfigValue& value : grid_) AddGrid(value);
    for (const ConfigValue& value : list_) AddListed(value);
    for (const ConfigValue& value : random_) AddRandom(value);
    ThrowFaults();
    return std::move(file_);
  }

 private:
  void Sort(ConfigValue value) {
    const std::string name = value.name;
    const auto below = [&](const std::string& section) {
      if (!name.starts_with(section + ".")) return false;
      value.name = name.substr(section.size() + 1);
      return true;
    };
    const std::string first = name.substr(0, name.find('.'));
    const std::string nearest = NearestWord(first, {"grid", "list", "random", "criterion"});
    if (below("grid")) {
      grid_.push_back(std::move(value));
    } else if (below("list")) {
      list_.push_back(std::move(value));
    } else if (below("random.keys")) {
      random_.push_back(std::move(value));
    } else if (name != first && !nearest.empty() && nearest != first) {
      Fault(value, "unknown section '" + first + "'; nearest is '" + nearest + "'");
    } else {
      own_.push_back(std::move(value));
    }
  }

  void Fault(const ConfigValue& value, const std::string& text) {
    faults_.push_back(value.place + ": " + text);
  }

  // True if the config accepts this value of `key`. ExpandSweep checks whether values fit together.
  bool Takes(ConfigValue value, const std::string& key) {
    if (key == "run.dir" || key == "run.seed") {
      const char* instead = key == "run.dir" ? "dir" : "seeds";
      Fault(value, StrCat("'", key, "' cannot be varied; it follows from '", instead, "'"));
      return false;
    }
    value.name = key;
    Config config;
    ConfigSchema schema;
    config.Bind(&schema);
    const Strings faults = schema.Set({value});
    faults_.insert(faults_.end(), faults.begin(), faults.end());
    return faults.empty();
  }

  // True if the config accepts each item of the list as a value of `key`.
  bool TakesItems(const ConfigValue& list, const std::string& key) {
    return std::all_of(list.items.begin(), list.items.end(), [&](const std::string& item) {
      ConfigValue value;
      value.place = list.place;
      value.kind = ConfigValue::Kind::kScalar;
      value.items = {item};
      value.shown = item.empty() ? "''" : item;
      return Takes(std::move(value), key);
    });
  }

  void AddGrid(const ConfigValue& value) {
    if (value.kind != ConfigValue::Kind::kList || value.items.empty()) {
      return Fault(value, "grid." + value.name + " is " + value.shown +
                              "; expected a list of values such as [0, 0.5]");
    }
    if (!TakesItems(value, value.name)) return;
    Strings sorted = value.items;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) {
      return Fault(value, "grid." + value.name + " has " + *twice + " twice");
    }
    file_.grid.push_back({value.name, value.items});
  }

  void AddListed(const ConfigValue& value) {
    const size_t dot = value.name.find('.');
    if (dot == std::string::npos || value.kind == ConfigValue::Kind::kOther) {
      return Fault(value, "list." + value.name + " is " + value.shown +
                              "; expected a trial such as careful: {reward.alpha: 20}");
    }
    const std::string trial = value.name.substr(0, dot), key = value.name.substr(dot + 1);
    std::string text;
    for (const std::string& item : value.items) text += (text.empty() ? "" : ", ") + item;
    if (value.kind == ConfigValue::Kind::kList) text = "[" + text + "]";
    if (!Takes(value, key)) return;
    if (file_.list.empty() || file_.list.back().first != trial) file_.list.push_back({trial, {}});
    file_.list.back().second.push_back({key, text});
  }

  void AddRandom(const ConfigValue& value) {
    const size_t dot = value.name.rfind('.');
    const auto kind = dot == std::string::npos ? KindNames().end()
                                               : std::find(KindNames().begin(), KindNames().end(),
                                                           value.name.substr(dot + 1));
    if (kind == KindNames().end() || value.kind != ConfigValue::Kind::kList) {
      return Fault(value, "random.keys." + value.name + " is " + value.shown +
                              "; expected KEY: {uniform: [low, high]}, or log_uniform, or integer, "
                              "or KEY: {choice: [a, b]}");
    }
    RandomAxis axis;
    axis.key = value.name.substr(0, dot);
    axis.kind = static_cast<RandomAxis::Kind>(kind - KindNames().begin());
    if (axis.kind == RandomAxis::Kind::kChoice) {
      if (value.items.empty()) {
        return Fault(value, "random.keys." + value.name + " is []; expected at least one value");
      }
      axis.choices = value.items;
    } else if (value.items.size() != 2 || !ParseNumber(value.items[0], &axis.low) ||
               !ParseNumber(value.items[1], &axis.high) || !IsRange(axis)) {
      return Fault(value, StrCat("random.keys.", value.name, " is ", value.shown,
                                 "; expected [low, high] with low < high",
                                 axis.kind == RandomAxis::Kind::kLogUniform ? ", low > 0" : "",
                                 axis.kind == RandomAxis::Kind::kInteger ? ", both integers" : ""));
    }
    ConfigValue drawn = value;
    if (axis.kind == RandomAxis::Kind::kUniform || axis.kind == RandomAxis::Kind::kLogUniform) {
      drawn.items.push_back(NumberText(axis.low + 0.3183 * (axis.high - axis.low)));
    }
    if (!TakesItems(drawn, axis.key)) return;
    file_.random.push_back(std::move(axis));
  }

  static bool IsRange(const RandomAxis& axis) {
    const bool whole = std::floor(axis.low) == axis.low && std::floor(axis.high) == axis.high;
    return axis.low < axis.high && (axis.kind != RandomAxis::Kind::kLogUniform || axis.low > 0) &&
           (axis.kind != RandomAxis::Kind::kInteger || whole);
  }

  void RequireOptions(const std::filesystem::path& path) {
    const auto require = [&](bool given, const char* what) {
      if (!given) faults_.push_back(path.string() + ": " + what);
    };
    require(!file_.options.base.empty(), "'base' is missing: the config that is varied");
    require(!file_.options.dir.empty(), "'dir' is missing: the folder of the sweep");
    require((file_.options.random_trials > 0) == !random_.empty(),
            "expected both random.trials and random.keys, or neither");
    const SweepCriterion& criterion = file_.options.criterion;
    require(criterion.policy != "classifier" || criterion.maximize != "jaccard_sampled",
            "criterion.maximize is jaccard_sampled; expected another column, since the classifier, "
            "criterion.policy, samples nothing");
    std::vector<int64_t> seeds = file_.options.seeds;
    std::sort(seeds.begin(), seeds.end());
    require(std::adjacent_find(seeds.begin(), seeds.end()) == seeds.end(),
            "'seeds' has a seed twice");
  }

  void ThrowFaults() const {
    std::string message;
    for (const std::string& fault : faults_) message += (message.empty() ? "" : "\n") + fault;
    if (!message.empty()) throw UsageError(message);
  }

  SweepFile file_;
  std::vector<ConfigValue> own_, grid_, list_, random_;
  Strings faults_;
};

}  // namespace

void SweepCriterion::Bind(ConfigSchema* schema) {
  schema->Choice("criterion.policy", &policy, {"list-grpo", "list-sft", "classifier"},
                 "row of evaluation.json to compare");
  schema->Choice("criterion.maximize", &maximize,
                 {"jaccard", "jaccard_sampled", "f1", "precision", "recall", "prauc"},
                 "column of that row");
  schema->Number("criterion.ddi_at_most", &ddi_at_most, {0, 1},
                 "points with a higher mean DDI rate cannot be the best");
  schema->Number("criterion.ddi_weight", &ddi_weight, {0, 1000},
                 "weight in the score maximize - ddi_weight * DDI rate");
}

void SweepOptions::Bind(ConfigSchema* schema) {
  schema->Path("base", &base, "config that is varied");
  schema->Path("dir", &dir, "folder of the sweep; workers share it");
  schema->IntList("seeds", &seeds, {0, 4294967295.0},
                  "run.seed of the trials of each point; []: the base config's seed");
  schema->Int("random.trials", &random_trials, {0, 10000}, "points drawn from random.keys");
  schema->Int("random.seed", &random_seed, {0, 4294967295.0}, "seed of the draws");
  schema->Int("retries", &retries, {0, 100},
              "retries of a trial that ended with status 4, by a signal or with its worker");
  schema->Number("heartbeat_deadline", &heartbeat_deadline, {1, 3600},
                 "seconds; a worker silent for longer is taken for dead");
  criterion.Bind(schema);
}

std::string SettingsText(const Settings& settings) {
  std::string text;
  for (const auto& [key, value] : settings) text += (text.empty() ? "" : " ") + key + "=" + value;
  return text;
}

SweepFile ReadSweepFile(const std::filesystem::path& file) { return Reader().Read(file); }

std::string SweepFileHelp(size_t width) {
  SweepOptions options;
  ConfigSchema schema;
  options.Bind(&schema);
  return schema.Help(width);
}

}  // namespace flame
