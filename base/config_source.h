// Reads config values from YAML files and "a.b=value" texts into flat lists.
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
  std::vector<std::string> items;  // exactly one if kScalar
  bool empty = false;              // "key:" with nothing after it
  std::string shown;               // for messages
};

// Returns every value of one YAML document, in the document's order. Appends faults of single keys
// (one that appears twice, one that is no text) to `faults`. Throws UsageError if the file cannot
// be read, is not one YAML document or holds no keys and values.
std::vector<ConfigValue> ReadConfigFile(const std::filesystem::path& file,
                                        std::vector<std::string>* faults);

// Parses texts of the form "a.b=value". A value "[x, y]" is a list, any other value a plain text.
// Appends the malformed ones to `faults`.
std::vector<ConfigValue> ReadConfigOverrides(const std::vector<std::string>& overrides,
                                             std::vector<std::string>* faults);

}  // namespace flame

#endif  // FLAME_BASE_CONFIG_SOURCE_H_
