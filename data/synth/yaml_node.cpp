#include "data/synth/yaml_node.h"

namespace flame {

YamlNode YamlNode::operator[](const std::string& key) const {
  if (!node_.IsMap() || !Has(key)) throw DataError(Place(), ": expected the key '", key, "'");
  return YamlNode(node_[key], where_ + "." + key);
}

std::vector<YamlNode> YamlNode::Items() const {
  if (!node_.IsSequence()) throw DataError(Place(), ": expected a list");
  std::vector<YamlNode> items;
  for (const auto& item : node_) items.emplace_back(item, where_);
  return items;
}

std::vector<std::pair<std::string, YamlNode>> YamlNode::Entries() const {
  if (!node_.IsMap()) throw DataError(Place(), ": expected a map");
  std::vector<std::pair<std::string, YamlNode>> entries;
  for (const auto& entry : node_) {
    entries.emplace_back(entry.first.as<std::string>(), YamlNode(entry.second, where_));
  }
  return entries;
}

std::string YamlNode::Place() const {
  return StrCat(where_, " (line ", node_.Mark().line + 1, ")");
}

YamlNode LoadYamlNode(const std::filesystem::path& path) {
  try {
    return YamlNode(YAML::LoadFile(path.string()), path.string() + ": ");
  } catch (const YAML::Exception& error) {
    throw DataError(path.string(), ": not readable as YAML: ", error.what());
  }
}

}  // namespace flame
