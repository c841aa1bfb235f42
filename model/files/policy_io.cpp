// Reads and writes policies as Hugging Face and peft folders.
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "model/block.h"
#include "model/files/policy_config.h"
#include "model/files/weights.h"
#include "model/parameter_units.h"
#include "model/policy.h"
#include "model/shapes.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr char kPeftPrefix[] = "base_model.model.";
constexpr char kEntityPrefix[] = "entities.";
constexpr char kPlainMapsFile[] = "quantization.json";
constexpr char kEmbeddingName[] = "model.embed_tokens.weight", kHeadName[] = "lm_head.weight";

// Returns the name under which the input table is stored. A file may hold a tied table under either
// of its names, or both.
const char* StoredTableName(const WeightReader& reader, const PolicyConfig& config) {
  const bool head_only =
      config.tie_embeddings && !reader.Has(kEmbeddingName) && reader.Has(kHeadName);
  return head_only ? kHeadName : kEmbeddingName;
}

// Returns the tensors of `from` whose names start with `prefix`, with `replacement` in its place.
std::map<std::string, at::Tensor> Renamed(const std::map<std::string, at::Tensor>& from,
                                          const std::string& prefix,
                                          const std::string& replacement) {
  std::map<std::string, at::Tensor> result;
  for (const auto& [name, tensor] : from) {
    if (name.starts_with(prefix)) result[replacement + name.substr(prefix.size())] = tensor;
  }
  return result;
}

// True if `name` is the weight of one of a block's seven linear maps.
bool IsMapWeight(const std::string& name) { return name.ends_with("_proj.weight"); }

// Reads the names of a quantised policy's maps into which an adapter was merged. Quantising those
// again on loading would lose part of the adapter. Returns an empty set if the file is absent.
std::set<std::string> ReadPlainMaps(const fs::path& path) {
  if (!fs::exists(path)) return {};
  try {
    return ReadJson(path).at("plain").get<std::set<std::string>>();
  } catch (const json::exception& error) {
    throw DataError(path.string(), ": ", error.what());
  }
}

LoraOptions ReadAdapterConfig(const fs::path& path) {
  const json object = ReadJson(path);
  const auto refuse = [&](const char* key, const std::string& expected) {
    throw DataError(path.string(), ": ", key, " is ", object.value(key, json()).dump(),
                    "; expected ", expected);
  };
  if (!object.is_object() || object.value("peft_type", json()) != "LORA") {
    refuse("peft_type", "\"LORA\"");
  }
  for (const char* key : {"use_dora", "use_rslora", "fan_in_fan_out"}) {
    if (object.contains(key) && object[key] != false && !object[key].is_null()) {
      refuse(key, "false");
    }
  }
  // Any other value changes the base model's weights too (PiSSA, OLoRA, EVA, LoftQ, CorDA).
  const json start = object.value("init_lora_weights", json(true));
  if (!start.is_boolean() && !start.is_null() && start != "gaussian") {
    refuse("init_lora_weights", "true, false or \"gaussian\"");
  }
  for (const char* key : {"rank_pattern", "alpha_pattern", "modules_to_save"}) {
    if (!object.value(key, json()).empty()) refuse(key, "none");
  }
  if (object.value("bias", json("none")) != "none") refuse("bias", "\"none\"");
  LoraOptions options;
  if (!object.contains("r") || !object["r"].is_number_integer() || object["r"] < 1) {
    refuse("r", "a positive number");
  }
  if (!object.contains("lora_alpha") || !object["lora_alpha"].is_number() ||
      !(std::abs(object["lora_alpha"].get<double>()) < 1e30)) {
    refuse("lora_alpha", "a number");
  }
  const json dropout = object.value("lora_dropout", json(0.0));
  if (!dropout.is_number() || dropout < 0.0 || dropout >= 1.0) {
    refuse("lora_dropout", "a number of at least 0 and below 1");
  }
  const json targets = object.value("target_modules", json());
  const auto is_target = [](const json& name) {
    return name.is_string() &&
           std::any_of(kMapNames.begin(), kMapNames.end(), [&](const char* map) {
             return std::string(map).ends_with("." + name.get<std::string>());
           });
  };
  if (!targets.is_array() || !std::all_of(targets.begin(), targets.end(), is_target)) {
    refuse("target_modules",
           "a list of q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj");
  }
  options.rank = object["r"];
  options.alpha = object["lora_alpha"];
  options.dropout = dropout;
  options.targets = object["target_modules"].get<std::vector<std::string>>();
  std::sort(options.targets.begin(), options.targets.end());
  return options;
}

// Names no path of the base model, which lies in the same folder: the folder may move, and the same
// run gives the same bytes anywhere.
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

}  // namespace

void Policy::EndWith(int32_t id) {
  if (id < 0) return;
  std::erase(config_.end_ids, id);
  config_.end_ids.insert(config_.end_ids.begin(), id);
}

Policy Policy::Load(const fs::path& folder, at::ScalarType dtype, Quantization quantization) {
  Policy policy = Open(folder, dtype, quantization);
  policy.ReadStored();
  return policy;
}

Policy Policy::Open(const fs::path& folder, at::ScalarType dtype, Quantization quantization) {
  DtypeName(dtype);  // throws if no policy has this dtype
  if (!fs::is_directory(folder)) throw DataError(folder.string(), ": no such folder");
  Policy policy;
  policy.config_ = ReadPolicyConfig(folder / "config.json");
  policy.OpenBase(folder, dtype, quantization);
  if (fs::exists(folder / "entities.json")) policy.LoadEntities(folder);
  if (fs::exists(folder / "adapter_config.json")) policy.LoadAdapters(folder);
  return policy;
}

void Policy::OpenBase(const fs::path& folder, at::ScalarType dtype, Quantization quantization) {
  const auto reader = std::make_shared<const WeightReader>(WeightReader::OfFolder(folder));
  ShapeMap shapes = BaseShapes(config_);
  const std::string table = StoredTableName(*reader, config_);
  const auto table_node = shapes.extract(kEmbeddingName);
  shapes.emplace(table, table_node.mapped());
  reader->Check(shapes, {kHeadName});
  const std::set<std::string> plain = ReadPlainMaps(folder / kPlainMapsFile);
  was_quantized_ = quantization != Quantization::kNone;
  // Allocates all that stays before filling any of it: allocated between the temporaries of
  // quantising, it would leave the heap full of holes.
  for (const auto& [name, shape] : shapes) {
    if (quantization != Quantization::kNone && IsMapWeight(name) && !plain.contains(name)) {
      quantized_[name] = EmptyQuantized(quantization, shape[0], shape[1]);
    } else {
      Store(name == table ? kEmbeddingName : name, shape, dtype, RowsOfFile(reader, name));
    }
  }
  for (auto& [name, matrix] : quantized_) {
    // Reads in the policy's dtype first, so that a saved and reloaded policy quantises to the same
    // bits.
    reader->ReadRows(name, dtype, [&matrix = matrix](int64_t first, const at::Tensor& rows) {
      QuantizeRows(rows, first, &matrix);
    });
  }
}

void Policy::Save(const fs::path& folder) const {
  AtomicPath target(folder, AtomicPath::Kind::kFolder);
  WriteFileAtomically(target.temporary() / "config.json",
                      PolicyConfigJson(config_, DtypeName(dtype())).dump(2) + "\n");
  SaveBase(target.temporary());
  if (has_adapters()) SaveAdapters(target.temporary());
  if (!entities_.empty()) SaveEntities(target.temporary());
  target.Commit();
}

void Policy::JoinSave() const {
  WriteTensors("", BaseShapes(config_), dtype(), "");
  if (has_adapters()) WriteTensors("", AdapterShapesOf(), TrainableDtype(), "");
}

void Policy::WriteTensors(const fs::path& file, const ShapeMap& shapes, at::ScalarType dtype,
                          const std::string& prefix) const {
  int64_t held = -1;
  const auto hold = [&](int64_t unit) {
    if (unit == held) return;
    if (held >= 0 && units_ != nullptr) units_->Release(held, ParameterUnits::Pass::kForward);
    if (unit >= 0 && units_ != nullptr) units_->Acquire(unit, ParameterUnits::Pass::kForward, -1);
    held = unit;
  };
  if (file.empty()) {
    for (const auto& [name, shape] : shapes) hold(UnitOf(name));
  } else {
    ShapeMap named;
    for (const auto& [name, shape] : shapes) named[prefix + name] = shape;
    WriteWeights(file, named, dtype, [&](const std::string& full_name) {
      const std::string name = full_name.substr(prefix.size());
      hold(UnitOf(name));
      return Whole(name, named.at(full_name), dtype);
    });
  }
  hold(-1);
}

at::Tensor Policy::Whole(const std::string& name, at::IntArrayRef shape,
                         at::ScalarType dtype) const {
  if (!stored_.contains(name) && !quantized_.contains(name)) return parameters_.at(name);
  at::Tensor whole = at::empty(shape, dtype);
  CopyElements(RowsOf(name), whole.numel() / shape[0], 0, whole.flatten());
  return whole;
}

ShapeMap Policy::AdapterShapesOf() const {
  return AdapterShapes(config_, lora_.targets, lora_.rank);
}

void Policy::SaveBase(const fs::path& folder) const {
  const ShapeMap shapes = BaseShapes(config_);
  WriteTensors(folder / "model.safetensors", shapes, dtype(), "");
  json plain = json::array();
  for (const auto& [name, shape] : shapes) {
    if (IsMapWeight(name) && !quantized_.contains(name)) plain.push_back(name);
  }
  if (!was_quantized_ || plain.empty()) return;
  WriteFileAtomically(folder / kPlainMapsFile, json{{"plain", plain}}.dump(1) + "\n");
}

void Policy::LoadAdapters(const fs::path& folder) {
  if (has_adapters()) throw UsageError("the policy has adapters already: merge or drop them first");
  const LoraOptions options = ReadAdapterConfig(folder / "adapter_config.json");
  ShapeMap expected;
  for (const auto& [name, shape] : AdapterShapes(config_, options.targets, options.rank)) {
    expected[kPeftPrefix + name] = shape;
  }
  auto weights = ReadWeights({folder / "adapter_model.safetensors"}, expected, TrainableDtype());
  for (auto& [name, tensor] : weights) tensor = tensor.to(device());
  parameters_.merge(Renamed(weights, kPeftPrefix, ""));
  lora_ = options;
  lora_scale_ = options.alpha / static_cast<double>(options.rank);
}

void Policy::SaveAdapters(const fs::path& folder) const {
  WriteFileAtomically(folder / "adapter_config.json", AdapterConfigJson(lora_).dump(2) + "\n");
  WriteTensors(folder / "adapter_model.safetensors", AdapterShapesOf(), TrainableDtype(),
               kPeftPrefix);
}

void Policy::LoadEntities(const fs::path& folder) {
  const fs::path path = folder / "entities.json";
  ShapeMap expected;  // named as in the file, without kEntityPrefix
  try {
    for (const json& entry : ReadJson(path)) {
      // Only the shape of `collab` matters until the tensor itself is read.
      EntitySlots kind{entry.at("kind"), entry.at("first_token"),
                       HeadWeight().new_empty({entry.at("count"), entry.at("dim")}),
                       entry.at("hidden")};
      CheckSlots(kind);
      const std::string prefix = kEntityPrefix;
      for (const auto& [name, shape] : ProjectorShapes(config_, kind)) {
        expected[name.substr(prefix.size())] = shape;
      }
      expected[kind.kind + ".collab"] = kind.collab.sizes().vec();
      entities_.push_back(std::move(kind));
    }
  } catch (const std::exception& error) {  // from JSON, a negative size or CheckSlots
    throw DataError(path.string(), ": ", error.what());
  }
  const auto weights = ReadWeights({folder / "entities.safetensors"}, expected, TrainableDtype());
  parameters_.merge(Renamed(weights, "", kEntityPrefix));
  for (EntitySlots& kind : entities_) {
    kind.collab = parameters_.at(kEntityPrefix + kind.kind + ".collab");
  }
}

void Policy::SaveEntities(const fs::path& folder) const {
  json list = json::array();
  for (const EntitySlots& kind : entities_) {
    list.push_back({{"kind", kind.kind},
                    {"first_token", kind.first_token},
                    {"hidden", kind.hidden},
                    {"count", kind.collab.size(0)},
                    {"dim", kind.collab.size(1)}});
  }
  WriteFileAtomically(folder / "entities.json", list.dump(2) + "\n");
  WriteWeights(folder / "entities.safetensors", Renamed(parameters_, kEntityPrefix, ""));
}

}  // namespace flame
