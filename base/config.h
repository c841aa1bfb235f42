// Config sections bound to plain structs. A struct's Bind() declares every key once: name, field,
// range, help; the default is the field's initializer. Load() checks the whole YAML file before
// anything starts and reports all its faults in one UsageError, one a line:
//   configs/x.yaml:12: unknown key 'grpo.group_sise'; nearest is 'grpo.group_size'
//   configs/x.yaml:14: grpo.clip is 7; expected a number in (0, 1]
#ifndef FLAME_BASE_CONFIG_H_
#define FLAME_BASE_CONFIG_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace flame {

struct ConfigValue;  // base/config_source.h

struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_open = false, high_open = false;
};

class ConfigSchema {
 public:
  // `name` is dotted: "grpo.group_size". The pointer must outlive the schema.
  void Int(const std::string& name, int64_t* field, Range range, const std::string& help);
  void Number(const std::string& name, double* field, Range range, const std::string& help);
  void Bool(const std::string& name, bool* field, const std::string& help);
  void Text(const std::string& name, std::string* field, const std::string& help);
  void Path(const std::string& name, std::filesystem::path* field, const std::string& help);
  // The value must be one of `choices`; a choice that ends in ':' accepts any suffix ("chunk:").
  void Choice(const std::string& name, std::string* field, std::vector<std::string> choices,
              const std::string& help);
  // One of `values`, each under the name that files give it.
  template <class E>
  void Enum(const std::string& name, E* field, std::vector<std::pair<std::string, E>> values,
            const std::string& help) {
    std::vector<std::string> names;
    for (const auto& value : values) names.push_back(value.first);
    const auto get = [field, values] {
      for (const auto& [text, value] : values) {
        if (value == *field) return text;
      }
      return std::string();
    };
    const auto set = [field, values](const std::string& text) {
      for (const auto& [known, value] : values) {
        if (known == text) *field = value;
      }
    };
    ChoiceOf(name, names, get, set, help);
  }
  void TextList(const std::string& name, std::vector<std::string>* field, const std::string& help);
  void IntList(const std::string& name, std::vector<int64_t>* field, Range range,
               const std::string& help);

  // Reads `file` (empty: none), then `overrides` of the form "a.b=value", which messages call
  // "command line". Throws one UsageError with every fault. Relative paths stay as written.
  void Load(const std::filesystem::path& file, const std::vector<std::string>& overrides);
  // Sets values that are already read. Returns the faults, each with its place.
  std::vector<std::string> Set(const std::vector<ConfigValue>& values);

  // Returns every key with its current value as YAML, with the help texts as comments. Loading this
  // YAML gives the same values.
  std::string ResolvedYaml() const;
  // Returns the keys under the given prefixes ("grpo", "run.seed") as sorted "name=value" lines,
  // for digests of what a stage read. Throws UsageError if a prefix adds no key to those of the
  // earlier prefixes.
  std::string Canonical(const std::vector<std::string>& prefixes) const;
  // Every key as "name = default  (range)" with its help below, in lines of at most `width`
  // columns.
  std::string Help(size_t width) const;
  // One Markdown table per section: key, default, values, meaning.
  std::string Markdown() const;
  // Every key, sorted.
  std::vector<std::string> Names() const;

 private:
  struct Key {
    std::string type, range, help, default_text;
    std::function<std::string(const std::string&)> set;  // returns "" or what was expected
    std::function<std::string(const std::vector<std::string>&)> set_list;
    std::function<std::string()> get;  // returns YAML flow text
  };
  void Add(const std::string& name, Key key);
  // A key whose text must match one of `choices`.
  void ChoiceOf(const std::string& name, const std::vector<std::string>& choices,
                std::function<std::string()> get, std::function<void(const std::string&)> set,
                const std::string& help);
  // Sets the key that `value` names. Returns the fault, "" if none.
  std::string Apply(const ConfigValue& value);
  std::map<std::string, Key> keys_;
};

// Returns the shortest text that reads back as the same number.
std::string NumberText(double value);

// Returns the candidate nearest to `word` by edit distance, "" if none is near.
std::string NearestWord(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace flame

#endif  // FLAME_BASE_CONFIG_H_
