// A node of a YAML file whose errors name its place.
#ifndef FLAME_DATA_SYNTH_YAML_NODE_H_
#define FLAME_DATA_SYNTH_YAML_NODE_H_

#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace flame {

// Every member throws DataError with file, key and line if the node is of another kind.
class YamlNode {
 public:
  YamlNode(const YAML::Node& node, std::string where) : node_(node), where_(std::move(where)) {}

  bool Has(const std::string& key) const { return node_[key].IsDefined(); }
  YamlNode operator[](const std::string& key) const;
  template <class T>
  T As() const {
    try {
      return node_.as<T>();
    } catch (const YAML::Exception&) {
      throw DataError(Place(), ": a value of another kind was expected");
    }
  }
  template <class T>
  T Get(const std::string& key, T otherwise) const {
    return Has(key) ? (*this)[key].As<T>() : otherwise;
  }
  std::vector<YamlNode> Items() const;
  // Returns (name, value) of a map, in the file's order.
  std::vector<std::pair<std::string, YamlNode>> Entries() const;
  std::string Place() const;

 private:
  YAML::Node node_;
  std::string where_;
};

// Throws DataError if the file is not readable as YAML.
YamlNode LoadYamlNode(const std::filesystem::path& path);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_YAML_NODE_H_
