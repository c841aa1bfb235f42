// Where the values of a config come from: YAML files and "a.b=value" texts, as flat lists.
#ifndef FLAME_BASE_CONFIG_SOURCE_H_
#define FLAME_BASE_CONFIG_SOURCE_H_

#include <filesystem>
#include <string>
#include <vector>

namespace flame {

struct ConfigValue {
  enum class Kind { kScalar, kList, kOther };  // kOther: empty, or a list of lists or maps
  std::string place;                           // "configs/x.yaml:12" or "command line"
  std::string name;                            // dotted: the keys of nested maps
  Kind kind = Kind::kOther;
  std::vector<std::string> items;  // one of a scalar
  bool empty = false;              // "key:" with nothing after it
  std::string shown;               // for messages
};

// Every value of one YAML document, in its order. Faults that concern single keys (one that appears
// twice, one that is no text) are appended to `faults`; throws UsageError where there is no reading
// on.
std::vector<ConfigValue> ReadConfigFile(const std::filesystem::path& file,
                                        std::vector<std::string>* faults);

// Values of the form "a.b=value", where [x, y] is a list and anything else a text as it stands.
std::vector<ConfigValue> ReadConfigOverrides(const std::vector<std::string>& overrides,
                                             std::vector<std::string>* faults);

}  // namespace flame

#endif  // FLAME_BASE_CONFIG_SOURCE_H_
