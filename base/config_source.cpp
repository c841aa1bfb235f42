#include "base/config_source.h"

#include <yaml-cpp/yaml.h>

#include <fstream>
#include <set>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

using Strings = std::vector<std::string>;

std::string Shown(const YAML::Node& value) {
  if (value.IsNull()) return "empty";
  if (value.IsMap()) return "a map";
  if (value.IsScalar()) return value.Scalar().empty() ? "''" : value.Scalar();
  std::string items;
  for (const YAML::Node& item : value) items += (items.empty() ? "" : ", ") + Shown(item);
  return "[" + items + "]";
}

ConfigValue ToValue(std::string place, std::string name, const YAML::Node& node) {
  ConfigValue value;
  value.place = std::move(place);
  value.name = std::move(name);
  value.shown = Shown(node);
  value.empty = node.IsNull();
  if (node.IsScalar()) {
    value.kind = ConfigValue::Kind::kScalar;
    value.items = {node.Scalar()};
  } else if (node.IsSequence()) {
    value.kind = ConfigValue::Kind::kList;
    for (const YAML::Node& item : node) {
      if (!item.IsScalar()) value.kind = ConfigValue::Kind::kOther;
      value.items.push_back(item.IsScalar() ? item.Scalar() : "");
    }
  }
  return value;
}

// Collects the leaves of nested maps.
class Flattener {
 public:
  Flattener(std::string file, Strings* faults) : file_(std::move(file)), faults_(faults) {}

  void VisitMap(const YAML::Node& map, const std::string& prefix) {
    for (const auto& pair : map) {
      const std::string place = Place(pair.first);
      if (!pair.first.IsScalar()) {
        faults_->push_back(place + ": expected a name as key, found " + Shown(pair.first));
        continue;
      }
      const std::string name = prefix + pair.first.Scalar();
      if (!seen_.insert(name).second) {
        faults_->push_back(place + ": key '" + name + "' appears twice");
      } else if (pair.second.IsMap()) {
        VisitMap(pair.second, name + ".");
      } else {
        values_.push_back(ToValue(place, name, pair.second));
      }
    }
  }

  std::string Place(const YAML::Node& node) const {
    return StrCat(file_, ":", node.Mark().line + 1);
  }
  std::vector<ConfigValue> TakeValues() { return std::move(values_); }

 private:
  std::string file_;
  Strings* faults_;
  std::set<std::string> seen_;
  std::vector<ConfigValue> values_;
};

YAML::Node ReadDocument(const std::filesystem::path& file) {
  std::error_code error;
  std::ifstream stream(file);
  if (!stream || std::filesystem::is_directory(file, error)) {
    throw UsageError(file.string(), ": cannot read this config file");
  }
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(stream);
  } catch (const YAML::Exception& fault) {
    throw UsageError(file.string(), ":", fault.mark.line + 1, ": not YAML: ", fault.msg);
  }
  if (documents.size() > 1) {
    throw UsageError(file.string(), ": expected one YAML document, found ", documents.size());
  }
  return documents.empty() ? YAML::Node() : documents[0];
}

}  // namespace

std::vector<ConfigValue> ReadConfigFile(const std::filesystem::path& file, Strings* faults) {
  const YAML::Node root = ReadDocument(file);
  Flattener flattener(file.string(), faults);
  if (root.IsNull()) return {};
  if (!root.IsMap()) {
    throw UsageError(flattener.Place(root), ": expected keys and values, found ", Shown(root));
  }
  flattener.VisitMap(root, "");
  return flattener.TakeValues();
}

std::vector<ConfigValue> ReadConfigOverrides(const Strings& overrides, Strings* faults) {
  const std::string place = "command line";
  std::vector<ConfigValue> values;
  for (const std::string& text : overrides) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      faults->push_back(place + ": '" + text + "' is not of the form key=value");
      continue;
    }
    const std::string value = text.substr(equals + 1);
    try {
      const bool list = !value.empty() && value.front() == '[';
      values.push_back(
          ToValue(place, text.substr(0, equals), list ? YAML::Load(value) : YAML::Node(value)));
    } catch (const YAML::Exception& fault) {
      faults->push_back(place + ": '" + text + "' holds no list: " + fault.msg);
    }
  }
  return values;
}

}  // namespace flame
