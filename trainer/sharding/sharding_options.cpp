#include "trainer/sharding/sharding_options.h"

namespace flame {

const std::vector<std::pair<std::string, Sharding>>& ShardingNames() {
  static const std::vector<std::pair<std::string, Sharding>> names = {
      {"none", Sharding::kNone},
      {"optimizer", Sharding::kOptimizer},
      {"full", Sharding::kFull},
      {"hybrid", Sharding::kHybrid}};
  return names;
}

const char* NameOf(Sharding sharding) {
  for (const auto& [name, value] : ShardingNames()) {
    if (value == sharding) return name.c_str();
  }
  return "";
}

bool SplitsParameters(Sharding sharding) {
  return sharding == Sharding::kFull || sharding == Sharding::kHybrid;
}

}  // namespace flame
