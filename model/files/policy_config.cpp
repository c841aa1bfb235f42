#include "model/files/policy_config.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using nlohmann::json;

// Reads typed keys of one file; every error names the file and key.
class ConfigReader {
 public:
  ConfigReader(const std::filesystem::path& path, const json& object)
      : path_(path), object_(object) {}

  bool Has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }

  template <class T>
  T Get(const char* key) const {
    if (!Has(key)) throw DataError(path_.string(), ": no key '", key, "'");
    return Convert<T>(key, object_[key]);
  }
  template <class T>
  T Get(const char* key, T fallback) const {
    return Has(key) ? Convert<T>(key, object_[key]) : fallback;
  }
  // Returns a number or list of numbers as a list; an empty one if the key is absent.
  std::vector<int32_t> GetTokenIds(const char* key) const {
    if (!Has(key)) return {};
    const json& value = object_[key];
    std::vector<int32_t> ids;
    for (const json& id : value.is_array() ? value : json::array({value})) {
      ids.push_back(Convert<int32_t>(key, id));
    }
    return ids;
  }
  double GetPositive(const char* key, double fallback) const {
    const double value = Get<double>(key, fallback);
    if (!(value > 0) || !std::isfinite(value)) {
      throw DataError(path_.string(), ": ", key, " is ", object_[key].dump(),
                      "; expected a number above 0");
    }
    return value;
  }
  void Require(const char* key, const json& expected) const {
    if (Has(key) && object_[key] != expected) {
      throw DataError(path_.string(), ": ", key, " is ", object_[key].dump(), "; only ",
                      expected.dump(), " is supported");
    }
  }

 private:
  template <class T>
  T Convert(const char* key, const json& value) const {
    const bool right = std::is_same_v<T, bool>          ? value.is_boolean()
                       : std::is_same_v<T, std::string> ? value.is_string()
                       : std::is_integral_v<T>          ? value.is_number_integer()
                                                        : value.is_number();
    if (!right) {
      throw DataError(path_.string(), ": ", key, " is ", value.dump(), ", of the wrong type");
    }
    return value.get<T>();
  }
  const std::filesystem::path& path_;
  const json& object_;
};

const Architecture& ReadArchitecture(const std::filesystem::path& path, const json& object) {
  const json found = object.value("architectures", json::array());
  std::string known;
  for (const Architecture& row : KnownArchitectures()) {
    const bool named = found.is_array() && found.size() == 1 && found[0] == row.name;
    const bool unnamed = found.empty() && object.value("model_type", json()) == row.model_type;
    if (named || unnamed) return row;
    known += StrCat(known.empty() ? "" : ", ", "[\"", row.name, "\"]");
  }
  throw DataError(path.string(), ": architectures is ", found.dump(), "; expected one of ", known);
}

// Keys of config.json that this program reads or checks, and keys that change no result of a
// forward pass: how a model was made, trained, loaded or named, how a classifier or a text
// generator is built on it. Every other key must be null, false or empty, because it may change
// what the model computes (Granite's multipliers, Gemma's soft-capping).
const std::set<std::string> kKnownKeys = {"_attn_implementation",
                                          "_commit_hash",
                                          "_name_or_path",
                                          "architectures",
                                          "attention_bias",
                                          "attention_dropout",
                                          "attn_implementation",
                                          "auto_map",
                                          "begin_suppress_tokens",
                                          "bos_token_id",
                                          "chunk_size_feed_forward",
                                          "decoder_start_token_id",
                                          "diversity_penalty",
                                          "do_sample",
                                          "dtype",
                                          "early_stopping",
                                          "encoder_no_repeat_ngram_size",
                                          "eos_token_id",
                                          "exponential_decay_length_penalty",
                                          "finetuning_task",
                                          "forced_bos_token_id",
                                          "forced_eos_token_id",
                                          "head_dim",
                                          "hidden_act",
                                          "hidden_size",
                                          "id2label",
                                          "initializer_range",
                                          "intermediate_size",
                                          "is_decoder",
                                          "label2id",
                                          "layer_types",
                                          "length_penalty",
                                          "max_length",
                                          "max_position_embeddings",
                                          "max_window_layers",
                                          "min_length",
                                          "mlp_bias",
                                          "model_max_length",
                                          "model_type",
                                          "no_repeat_ngram_size",
                                          "num_attention_heads",
                                          "num_beam_groups",
                                          "num_beams",
                                          "num_hidden_layers",
                                          "num_key_value_heads",
                                          "num_labels",
                                          "num_return_sequences",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "output_scores",
                                          "pad_token_id",
                                          "partial_rotary_factor",
                                          "prefix",
                                          "pretraining_tp",
                                          "problem_type",
                                          "quantization_config",
                                          "remove_invalid_values",
                                          "repetition_penalty",
                                          "return_dict",
                                          "return_dict_in_generate",
                                          "rms_norm_eps",
                                          "rope_parameters",
                                          "rope_scaling",
                                          "rope_theta",
                                          "sep_token_id",
                                          "sliding_window",
                                          "suppress_tokens",
                                          "task_specific_params",
                                          "temperature",
                                          "tie_encoder_decoder",
                                          "tie_word_embeddings",
                                          "tokenizer_class",
                                          "top_k",
                                          "top_p",
                                          "torch_dtype",
                                          "torchscript",
                                          "transformers.js_config",
                                          "transformers_version",
                                          "typical_p",
                                          "unsloth_fixed",
                                          "unsloth_version",
                                          "use_cache",
                                          "use_sliding_window",
                                          "vocab_size"};

void RefuseUnknownKeys(const std::filesystem::path& path, const json& object) {
  for (const auto& [key, value] : object.items()) {
    const bool off = value == false && key != "is_causal";  // which is true by default
    if (kKnownKeys.contains(key) || value.is_null() || off || value.empty()) continue;
    throw DataError(path.string(), ": ", key, " is ", value.dump(), "; this program does not know ",
                    "the key, which may change what the model computes. Expected no such key");
  }
}

void RefuseUnsupported(const std::filesystem::path& path, const json& object) {
  RefuseUnknownKeys(path, object);
  const ConfigReader reader(path, object);
  if (object.value("hidden_act", json()) != "swish") reader.Require("hidden_act", "silu");
  reader.Require("mlp_bias", false);
  reader.Require("use_sliding_window", false);
  reader.Require("partial_rotary_factor", 1.0);
  if (reader.Has("quantization_config")) {
    throw DataError(path.string(), ": quantization_config is not supported; expected weights of a ",
                    "floating-point type");
  }
  for (const json& type : object.value("layer_types", json::array())) {
    if (type == "full_attention") continue;
    throw DataError(path.string(), ": layer_types has ", type.dump(),
                    "; only \"full_attention\" is supported");
  }
}

RopeScaling ReadScaling(const std::filesystem::path& path, const char* key, const json& rope) {
  const ConfigReader reader(path, rope);
  reader.Require("partial_rotary_factor", 1.0);
  const auto type =
      reader.Get<std::string>("rope_type", reader.Get<std::string>("type", "default"));
  RopeScaling scaling;
  if (type == "default") return scaling;
  if (type != "linear" && type != "llama3") {
    throw DataError(path.string(), ": ", key, " of type '", type,
                    "' is not supported; expected default, linear or llama3");
  }
  scaling.kind = type == "linear" ? RopeScaling::Kind::kLinear : RopeScaling::Kind::kLlama3;
  scaling.factor = reader.Get<double>("factor");
  if (type == "llama3") {
    scaling.low_freq = reader.Get<double>("low_freq_factor");
    scaling.high_freq = reader.Get<double>("high_freq_factor");
    scaling.original_positions = reader.Get<int64_t>("original_max_position_embeddings");
  }
  const bool band = scaling.low_freq > 0 && scaling.high_freq > scaling.low_freq;
  if (!(scaling.factor > 0) || !band || scaling.original_positions < 1) {
    throw DataError(path.string(), ": ", key, " is ", rope.dump(), "; expected factor > 0, ",
                    "0 < low_freq_factor < high_freq_factor, original_max_position_embeddings > 0");
  }
  return scaling;
}

// Reads rope_theta and rope_scaling (older files) or rope_parameters with both (newer ones).
void ReadRotation(const std::filesystem::path& path, const json& object, PolicyConfig* config) {
  const ConfigReader reader(path, object);
  config->rope_theta = reader.GetPositive("rope_theta", 10000.0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!reader.Has(key)) continue;
    if (config->rope_scaling.kind != RopeScaling::Kind::kNone) {
      throw DataError(path.string(),
                      ": has rope_scaling and rope_parameters; expected one of them");
    }
    const json& rope = object[key];
    if (!rope.is_object()) {
      throw DataError(path.string(), ": ", key, " is ", rope.dump(), "; expected an object");
    }
    config->rope_scaling = ReadScaling(path, key, rope);
    config->rope_theta = ConfigReader(path, rope).GetPositive("rope_theta", config->rope_theta);
  }
}

void CheckSizes(const std::filesystem::path& path, const PolicyConfig& c) {
  constexpr int64_t kMost = int64_t{1} << 31, kMostLayers = 10000;
  for (const int64_t size :
       {c.vocab_size, c.d_model, c.num_heads, c.num_kv_heads, c.head_dim, c.d_ff}) {
    if (size <= kMost) continue;
    throw DataError(path.string(), ": a size is ", size, "; expected at most ", kMost);
  }
  if (c.num_layers > kMostLayers) {
    throw DataError(path.string(), ": num_hidden_layers is ", c.num_layers, "; expected at most ",
                    kMostLayers);
  }
  const bool positive = c.vocab_size > 0 && c.d_model > 0 && c.num_layers > 0 && c.num_heads > 0 &&
                        c.num_kv_heads > 0 && c.head_dim > 0 && c.d_ff > 0 && c.max_positions > 0;
  if (!positive || c.num_heads % c.num_kv_heads != 0 || c.head_dim % 2 != 0) {
    throw DataError(path.string(), ": sizes do not fit: hidden_size ", c.d_model,
                    ", num_hidden_layers ", c.num_layers, ", num_attention_heads ", c.num_heads,
                    ", num_key_value_heads ", c.num_kv_heads, ", head_dim ", c.head_dim,
                    ", intermediate_size ", c.d_ff, ", vocab_size ", c.vocab_size,
                    "; expected positive ones, heads a multiple of key heads, an even head_dim");
  }
}

// Prefers generation_config.json, if present: transformers takes the ends of a text from it.
std::vector<int32_t> ReadEndIds(const std::filesystem::path& path, const ConfigReader& config) {
  const std::filesystem::path generation = path.parent_path() / "generation_config.json";
  if (std::filesystem::exists(generation)) {
    const json object = ReadJson(generation);
    const auto ids = ConfigReader(generation, object).GetTokenIds("eos_token_id");
    if (!ids.empty()) return ids;
  }
  return config.GetTokenIds("eos_token_id");
}

}  // namespace

nlohmann::json ReadJson(const std::filesystem::path& path) {
  try {
    return json::parse(ReadWholeFile(path));
  } catch (const json::exception& error) {
    throw DataError(path.string(), ": not JSON: ", error.what());
  }
}

PolicyConfig ReadPolicyConfig(const std::filesystem::path& path) {
  const json object = ReadJson(path);
  if (!object.is_object()) throw DataError(path.string(), ": expected a JSON object");
  const Architecture& architecture = ReadArchitecture(path, object);
  RefuseUnsupported(path, object);
  const ConfigReader reader(path, object);
  PolicyConfig config;
  config.architecture = architecture.name;
  config.output_bias = architecture.attention_bias_key && reader.Get<bool>("attention_bias", false);
  config.qkv_bias = architecture.qkv_bias || config.output_bias;
  config.qk_norm = architecture.qk_norm;
  config.vocab_size = reader.Get<int64_t>("vocab_size");
  config.d_model = reader.Get<int64_t>("hidden_size");
  config.num_layers = reader.Get<int64_t>("num_hidden_layers");
  config.num_heads = reader.Get<int64_t>("num_attention_heads");
  config.num_kv_heads = reader.Get<int64_t>("num_key_value_heads", config.num_heads);
  const int64_t even = config.num_heads > 0 ? config.d_model / config.num_heads : 0;
  config.head_dim = reader.Get<int64_t>(
      "head_dim", architecture.default_head_dim > 0 ? architecture.default_head_dim : even);
  config.d_ff = reader.Get<int64_t>("intermediate_size");
  config.rms_eps = reader.GetPositive("rms_norm_eps", 1e-6);
  config.tie_embeddings = reader.Get<bool>("tie_word_embeddings", false);
  config.max_positions = reader.Get<int64_t>("max_position_embeddings", 2048);
  const std::vector<int32_t> bos = reader.GetTokenIds("bos_token_id");
  config.bos_id = bos.empty() ? -1 : bos[0];
  config.end_ids = ReadEndIds(path, reader);
  ReadRotation(path, object, &config);
  CheckSizes(path, config);
  return config;
}

namespace {

// Returns rope_scaling as transformers writes it; null if there is no scaling.
json ScalingJson(const RopeScaling& scaling) {
  switch (scaling.kind) {
    case RopeScaling::Kind::kNone:
      return nullptr;
    case RopeScaling::Kind::kLinear:
      return {{"rope_type", "linear"}, {"factor", scaling.factor}};
    case RopeScaling::Kind::kLlama3:
      return {{"rope_type", "llama3"},
              {"factor", scaling.factor},
              {"low_freq_factor", scaling.low_freq},
              {"high_freq_factor", scaling.high_freq},
              {"original_max_position_embeddings", scaling.original_positions}};
  }
  return nullptr;
}

const Architecture& ArchitectureOf(const PolicyConfig& config) {
  for (const Architecture& row : KnownArchitectures()) {
    if (config.architecture == row.name) return row;
  }
  throw UsageError("architecture '", config.architecture, "' is unknown");
}

}  // namespace

nlohmann::json EndIdsJson(const PolicyConfig& config) {
  if (config.end_ids.empty()) return nullptr;
  return config.end_ids.size() == 1 ? json(config.end_ids[0]) : json(config.end_ids);
}

nlohmann::json PolicyConfigJson(const PolicyConfig& config, const std::string& dtype) {
  const auto token = [](int32_t id) { return id < 0 ? json() : json(id); };
  const Architecture& architecture = ArchitectureOf(config);
  return {{"architectures", {architecture.name}},
          {"model_type", architecture.model_type},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.d_model},
          {"num_hidden_layers", config.num_layers},
          {"num_attention_heads", config.num_heads},
          {"num_key_value_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"intermediate_size", config.d_ff},
          {"hidden_act", "silu"},
          {"attention_bias", config.output_bias},
          {"mlp_bias", false},
          {"rms_norm_eps", config.rms_eps},
          {"rope_theta", config.rope_theta},
          {"rope_scaling", ScalingJson(config.rope_scaling)},
          {"tie_word_embeddings", config.tie_embeddings},
          {"max_position_embeddings", config.max_positions},
          {"bos_token_id", token(config.bos_id)},
          {"eos_token_id", EndIdsJson(config)},
          {"torch_dtype", dtype},
          {"use_cache", true}};
}

}  // namespace flame
