#include "model/map_names.h"

#include "base/error.h"

namespace flame {
namespace {

// Returns "q_proj" for "self_attn.q_proj".
std::string ShortName(const std::string& map) { return map.substr(map.find('.') + 1); }

}  // namespace

const std::array<const char*, kNumMaps> kMapNames = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

size_t MapIndex(const std::string& key, const std::string& target) {
  std::string known;
  for (size_t m = 0; m < kNumMaps; ++m) {
    if (ShortName(kMapNames[m]) == target) return m;
    known += " " + ShortName(kMapNames[m]);
  }
  throw UsageError(key, ": '", target, "' is unknown; expected some of", known);
}

void CheckTargets(const std::string& key, const std::vector<std::string>& targets) {
  if (targets.empty()) throw UsageError(key, " is empty; expected at least one map");
  for (const std::string& target : targets) MapIndex(key, target);
}

}  // namespace flame
