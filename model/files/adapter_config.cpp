#include "model/files/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "model/files/policy_config.h"
#include "model/map_names.h"

namespace flame {
namespace {

using nlohmann::json;

// Fields that this program reads, and fields that say where an adapter came from, how it was
// initialised or how another program shards it. Every other field must be null, false or empty.
const std::set<std::string> kMayHoldAnything = {"auto_mapping",
                                                "base_model_name_or_path",
                                                "bias",
                                                "corda_config",
                                                "ensure_weight_tying",
                                                "eva_config",
                                                "inference_mode",
                                                "init_lora_weights",
                                                "layers_pattern",
                                                "loftq_config",
                                                "lora_alpha",
                                                "lora_dropout",
                                                "lora_ga_config",
                                                "megatron_config",
                                                "megatron_core",
                                                "peft_type",
                                                "peft_version",
                                                "qalora_group_size",
                                                "r",
                                                "revision",
                                                "runtime_config",
                                                "target_modules",
                                                "task_type",
                                                "unsloth_fixed",
                                                "unsloth_version"};

bool IsNone(const json& value) {
  return value.is_null() || value == false || value.empty() || value == "";
}

// Reads typed values of the file; every error names the file and the field.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : path_(path), object_(ReadJson(path)) {
    if (!object_.is_object()) throw DataError(path.string(), ": expected a JSON object");
  }
  json At(const char* key) const { return object_.value(key, json()); }
  [[noreturn]] void Refuse(const std::string& key, const std::string& expected) const {
    throw DataError(path_.string(), ": ", key, " is ", object_.value(key, json()).dump(),
                    "; expected ", expected);
  }
  void RefuseOtherFields() const {
    for (const auto& [key, value] : object_.items()) {
      if (kMayHoldAnything.contains(key) || IsNone(value)) continue;
      Refuse(key, "none: this program computes plain LoRA");
    }
  }

 private:
  const std::filesystem::path& path_;
  const json object_;
};

// True if `name` is that of a block's map ("q_proj"); `path`: or a path to one
// ("model.layers.0.self_attn.q_proj").
bool IsMap(const json& name, bool path) {
  if (!name.is_string()) return false;
  const std::string text = "." + name.get<std::string>();
  const std::string last = path ? text.substr(text.rfind('.')) : text;
  return std::any_of(kMapNames.begin(), kMapNames.end(),
                     [&](const char* map) { return std::string(map).ends_with(last); });
}

// Returns the names of a list; none if they are not plain ones, or if a regular expression stands
// in the list's place.
std::vector<std::string> ReadTargets(const Reader& reader) {
  const json targets = reader.At("target_modules");
  if (targets.is_string() && targets != "") return {};
  const auto all = [&](bool path) {
    return std::all_of(targets.begin(), targets.end(),
                       [&](const json& name) { return IsMap(name, path); });
  };
  if (!targets.is_array() || targets.empty() || !all(/*path=*/true)) {
    reader.Refuse("target_modules",
                  "a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or a "
                  "regular expression that matches them");
  }
  if (!all(/*path=*/false)) return {};
  auto names = targets.get<std::vector<std::string>>();
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

LoraOptions ReadAdapterConfig(const std::filesystem::path& path) {
  const Reader reader(path);
  if (reader.At("peft_type") != "LORA") reader.Refuse("peft_type", "\"LORA\"");
  reader.RefuseOtherFields();
  // Any other value changes the base model's weights too (PiSSA, OLoRA, LoftQ, CorDA, LoRA-GA).
  const json start = reader.At("init_lora_weights");
  if (!start.is_boolean() && !start.is_null() && start != "gaussian" && start != "orthogonal" &&
      start != "eva") {
    reader.Refuse("init_lora_weights", "true, false, \"gaussian\", \"orthogonal\" or \"eva\"");
  }
  const json bias = reader.At("bias");
  if (!bias.is_null() && bias != "none") reader.Refuse("bias", "\"none\"");
  const json rank = reader.At("r"), alpha = reader.At("lora_alpha");
  if (!rank.is_number_integer() || rank < 1) reader.Refuse("r", "a positive number");
  if (!alpha.is_number() || !(std::abs(alpha.get<double>()) < 1e30)) {
    reader.Refuse("lora_alpha", "a number");
  }
  const json dropout = reader.At("lora_dropout");
  if (!dropout.is_null() && (!dropout.is_number() || dropout < 0.0 || dropout >= 1.0)) {
    reader.Refuse("lora_dropout", "a number of at least 0 and below 1");
  }
  LoraOptions options;
  options.rank = rank;
  options.alpha = alpha;
  options.dropout = dropout.is_null() ? 0.0 : dropout.get<double>();
  options.targets = ReadTargets(reader);
  return options;
}

json AdapterConfigJson(const LoraOptions& lora) {
  return {{"peft_type", "LORA"},
          {"task_type", "CAUSAL_LM"},
          {"base_model_name_or_path", nullptr},
          {"r", lora.rank},
          {"lora_alpha", lora.alpha},
          {"lora_dropout", lora.dropout},
          {"target_modules", lora.targets},
          {"bias", "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true}};
}

}  // namespace flame
