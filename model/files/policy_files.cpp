#include "model/files/policy_files.h"

#include <ATen/OpMathType.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "model/block.h"
#include "model/files/adapter_config.h"
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

// Returns the maps ("q_proj") that have a tensor in an adapter's file.
std::vector<std::string> TargetsOf(const fs::path& file) {
  const WeightReader reader({file});
  std::vector<std::string> targets;
  for (const char* map : kMapNames) {  // "self_attn.q_proj"
    const std::string suffix = StrCat(".", map, ".lora_A.weight");
    const auto names = reader.Names();
    if (std::any_of(names.begin(), names.end(),
                    [&](const std::string& name) { return name.ends_with(suffix); })) {
      targets.push_back(std::string(map).substr(std::string_view(map).rfind('.') + 1));
    }
  }
  if (targets.empty()) {
    throw DataError(file.string(), ": no tensor of a LoRA of a block's maps; expected names such ",
                    "as ", kPeftPrefix, "model.layers.0.self_attn.q_proj.lora_A.weight");
  }
  std::sort(targets.begin(), targets.end());
  return targets;
}

// Fills the base's parameters and quantised maps.
void OpenBase(const fs::path& folder, at::ScalarType dtype, Quantization quantization,
              PolicyParts* parts) {
  const auto reader = std::make_shared<const WeightReader>(WeightReader::OfFolder(folder));
  ShapeMap shapes = BaseShapes(parts->config);
  const std::string table = StoredTableName(*reader, parts->config);
  const auto table_node = shapes.extract(kEmbeddingName);
  shapes.emplace(table, table_node.mapped());
  reader->Check(shapes, {kHeadName});
  if (parts->config.tie_embeddings && reader->Has(kEmbeddingName) && reader->Has(kHeadName) &&
      !reader->Same(kEmbeddingName, kHeadName)) {
    throw DataError(folder.string(), ": tie_word_embeddings is true, but ", kHeadName,
                    " differs from ", kEmbeddingName, "; expected equal tables, or false");
  }
  const std::set<std::string> plain = ReadPlainMaps(folder / kPlainMapsFile);
  parts->was_quantized = quantization != Quantization::kNone;
  // Allocates all that stays before filling any of it: allocated between the temporaries of
  // quantising, it would leave the heap full of holes.
  for (const auto& [name, shape] : shapes) {
    if (parts->was_quantized && IsMapWeight(name) && !plain.contains(name)) {
      parts->quantized[name] = EmptyQuantized(quantization, shape[0], shape[1]);
    } else {
      const std::string own = name == table ? kEmbeddingName : name;
      parts->parameters[own] = Hollow(shape, dtype);
      parts->stored[own] = RowsOfFile(reader, name);
    }
  }
  for (auto& [name, matrix] : parts->quantized) {
    // Reads in the policy's dtype first, so that a saved and reloaded policy quantises to the same
    // bits.
    reader->ReadRows(name, dtype, [&matrix = matrix](int64_t first, const at::Tensor& rows) {
      QuantizeRows(rows, first, &matrix);
    });
  }
}

// Reads the slots and their projectors.
void ReadEntities(const fs::path& folder, at::ScalarType trainable, PolicyParts* parts) {
  const fs::path path = folder / "entities.json";
  ShapeMap expected;  // named as in the file, without kEntityPrefix
  try {
    for (const json& entry : ReadJson(path)) {
      // Only the shape of `collab` matters until the tensor itself is read.
      EntitySlots kind{entry.at("kind"), entry.at("first_token"),
                       at::empty({entry.at("count"), entry.at("dim")}, trainable),
                       entry.at("hidden"), entry.value("borrowed", false)};
      CheckSlots(kind, parts->config, parts->entities);
      const std::string prefix = kEntityPrefix;
      for (const auto& [name, shape] : ProjectorShapes(parts->config, kind)) {
        expected[name.substr(prefix.size())] = shape;
      }
      if (!kind.borrowed) expected[kind.kind + ".collab"] = kind.collab.sizes().vec();
      parts->entities.push_back(std::move(kind));
    }
  } catch (const std::exception& error) {  // from JSON, a negative size or CheckSlots
    throw DataError(path.string(), ": ", error.what());
  }
  const auto weights = ReadWeights({folder / "entities.safetensors"}, expected, trainable);
  parts->parameters.merge(Renamed(weights, "", kEntityPrefix));
  for (EntitySlots& kind : parts->entities) {
    if (!kind.borrowed) kind.collab = parts->parameters.at(kEntityPrefix + kind.kind + ".collab");
  }
}

// A parameter or quantised map with all its values.
at::Tensor Whole(const Policy& policy, const std::string& name, at::IntArrayRef shape,
                 at::ScalarType dtype) {
  const PolicyParts& parts = policy.parts();
  if (!parts.stored.contains(name) && !parts.quantized.contains(name)) {
    return parts.parameters.at(name).to(dtype);
  }
  at::Tensor whole = at::empty(shape, dtype);
  CopyElements(policy.RowsOf(name), whole.numel() / shape[0], 0, whole.flatten());
  return whole;
}

// Writes tensors of `shapes`, each as `prefix` and its name, unit by unit. "" as `file`: this rank
// brings its share of each unit, and another writes.
void WriteTensors(const Policy& policy, const fs::path& file, const ShapeMap& shapes,
                  at::ScalarType dtype, const std::string& prefix) {
  ParameterUnits* const units = policy.units();
  int64_t held = -1;
  const auto hold = [&](int64_t unit) {
    if (unit == held) return;
    if (held >= 0 && units != nullptr) units->Release(held, ParameterUnits::Pass::kForward);
    if (unit >= 0 && units != nullptr) units->Acquire(unit, ParameterUnits::Pass::kForward, -1);
    held = unit;
  };
  if (file.empty()) {
    for (const auto& [name, shape] : shapes) hold(UnitOfParameter(name, policy.config()));
  } else {
    ShapeMap named;
    for (const auto& [name, shape] : shapes) named[prefix + name] = shape;
    WriteWeights(file, named, dtype, [&](const std::string& full_name) {
      const std::string name = full_name.substr(prefix.size());
      hold(UnitOfParameter(name, policy.config()));
      return Whole(policy, name, named.at(full_name), dtype);
    });
  }
  hold(-1);
}

ShapeMap AdapterShapesOf(const PolicyParts& parts) {
  return AdapterShapes(parts.config, parts.lora.targets, parts.lora.rank);
}

int64_t BytesOf(const std::vector<int64_t>& shape, at::ScalarType dtype) {
  int64_t bytes = static_cast<int64_t>(c10::elementSize(dtype));
  for (const int64_t size : shape) bytes *= size;
  return bytes;
}

// Cuts the tensors, in their order, into files of at most `limit` bytes; a larger tensor has a file
// of its own.
std::vector<ShapeMap> CutIntoFiles(const ShapeMap& shapes, at::ScalarType dtype, int64_t limit) {
  std::vector<ShapeMap> files(1);
  int64_t bytes = 0;
  for (const auto& [name, shape] : shapes) {
    const int64_t more = BytesOf(shape, dtype);
    if (bytes + more > limit && !files.back().empty()) {
      files.emplace_back();
      bytes = 0;
    }
    files.back()[name] = shape;
    bytes += more;
  }
  return files;
}

// Writes the weights as transformers does: one file, or several and their index.
void WriteBase(const Policy& policy, const fs::path& folder, const ShapeMap& shapes,
               at::ScalarType dtype, int64_t limit) {
  const std::vector<ShapeMap> files = CutIntoFiles(shapes, dtype, limit);
  if (files.size() == 1) {
    return WriteTensors(policy, folder / "model.safetensors", shapes, dtype, "");
  }
  json places = json::object();
  int64_t total = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    char file[64];
    std::snprintf(file, sizeof file, "model-%05zu-of-%05zu.safetensors", i + 1, files.size());
    WriteTensors(policy, folder / file, files[i], dtype, "");
    for (const auto& [name, shape] : files[i]) {
      places[name] = file;
      total += BytesOf(shape, dtype);
    }
  }
  const json index = {{"metadata", {{"total_size", total}}}, {"weight_map", places}};
  WriteFileAtomically(folder / "model.safetensors.index.json", index.dump(1) + "\n");
}

void SaveBase(const Policy& policy, const fs::path& folder, at::ScalarType dtype, int64_t limit) {
  const PolicyParts& parts = policy.parts();
  const ShapeMap shapes = BaseShapes(parts.config);
  WriteBase(policy, folder, shapes, dtype, limit);
  json plain = json::array();
  for (const auto& [name, shape] : shapes) {
    if (IsMapWeight(name) && !parts.quantized.contains(name)) plain.push_back(name);
  }
  if (!parts.was_quantized || plain.empty()) return;
  WriteFileAtomically(folder / kPlainMapsFile, json{{"plain", plain}}.dump(1) + "\n");
}

void SaveAdapters(const Policy& policy, const fs::path& folder) {
  const PolicyParts& parts = policy.parts();
  WriteFileAtomically(folder / "adapter_config.json", AdapterConfigJson(parts.lora).dump(2) + "\n");
  WriteTensors(policy, folder / "adapter_model.safetensors", AdapterShapesOf(parts),
               policy.TrainableDtype(), kPeftPrefix);
}

void SaveEntities(const PolicyParts& parts, const fs::path& folder) {
  json list = json::array();
  for (const EntitySlots& kind : parts.entities) {
    list.push_back({{"kind", kind.kind},
                    {"first_token", kind.first_token},
                    {"hidden", kind.hidden},
                    {"count", kind.borrowed ? 0 : kind.collab.size(0)},
                    {"dim", kind.collab.size(1)}});
    if (kind.borrowed) list.back()["borrowed"] = true;
  }
  WriteFileAtomically(folder / "entities.json", list.dump(2) + "\n");
  WriteWeights(folder / "entities.safetensors", Renamed(parts.parameters, kEntityPrefix, ""));
}

}  // namespace

Policy LoadPolicy(const fs::path& folder, at::ScalarType dtype, Quantization quantization) {
  Policy policy = OpenPolicy(folder, dtype, quantization);
  policy.ReadStored();
  return policy;
}

Policy OpenPolicy(const fs::path& folder, at::ScalarType dtype, Quantization quantization) {
  DtypeName(dtype);  // throws if no policy has this dtype
  if (!fs::is_directory(folder)) throw DataError(folder.string(), ": no such folder");
  PolicyParts parts;
  parts.config = ReadPolicyConfig(folder / "config.json");
  OpenBase(folder, dtype, quantization, &parts);
  if (fs::exists(folder / "entities.json")) {
    ReadEntities(folder, at::toOpMathType(dtype), &parts);
  }
  Policy policy(std::move(parts));
  if (fs::exists(folder / "adapter_config.json")) LoadPeftAdapters(folder, &policy);
  return policy;
}

void SavePolicy(const Policy& policy, const fs::path& folder, const SaveOptions& options) {
  AtomicPath target(folder, AtomicPath::Kind::kFolder);
  const at::ScalarType dtype = options.dtype.value_or(policy.dtype());
  const std::string name = dtype == at::kHalf ? "float16" : DtypeName(dtype);
  WriteFileAtomically(target.temporary() / "config.json",
                      PolicyConfigJson(policy.config(), name).dump(2) + "\n");
  SaveBase(policy, target.temporary(), dtype, options.shard_bytes);
  if (policy.has_adapters()) SaveAdapters(policy, target.temporary());
  if (!policy.entities().empty()) SaveEntities(policy.parts(), target.temporary());
  target.Commit();
}

void JoinSavePolicy(const Policy& policy) {
  WriteTensors(policy, "", BaseShapes(policy.config()), policy.dtype(), "");
  if (!policy.has_adapters()) return;
  WriteTensors(policy, "", AdapterShapesOf(policy.parts()), policy.TrainableDtype(), "");
}

void LoadPeftAdapters(const fs::path& folder, Policy* policy) {
  LoraOptions options = ReadAdapterConfig(folder / "adapter_config.json");
  const fs::path file = folder / "adapter_model.safetensors";
  if (options.targets.empty()) options.targets = TargetsOf(file);
  ShapeMap expected;
  for (const auto& [name, shape] : AdapterShapes(policy->config(), options.targets, options.rank)) {
    expected[kPeftPrefix + name] = shape;
  }
  const auto weights = ReadWeights({file}, expected, policy->TrainableDtype());
  policy->TakeAdapters(options, Renamed(weights, kPeftPrefix, ""));
}

}  // namespace flame
