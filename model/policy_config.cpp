#include "model/policy_config.h"

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"

namespace flame {
namespace {

using nlohmann::json;

// Typed access to the keys of one file, with the file and key in every error.
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
  // The first of a list, or the number itself; -1 where absent.
  int32_t GetTokenId(const char* key) const {
    if (!Has(key)) return -1;
    const json& value = object_[key];
    return Convert<int32_t>(key, value.is_array() && !value.empty() ? value[0] : value);
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
    try {
      return value.get<T>();
    } catch (const json::exception&) {
      throw DataError(path_.string(), ": ", key, " is ", value.dump(), ", of the wrong type");
    }
  }
  const std::filesystem::path& path_;
  const json& object_;
};

void CheckArchitecture(const std::filesystem::path& path, const json& object) {
  const json found = object.value("architectures", json::array());
  const bool named = found.is_array() && found.size() == 1 && found[0] == "LlamaForCausalLM";
  const bool unnamed = found.empty() && object.value("model_type", "") == "llama";
  if (!named && !unnamed) {
    throw DataError(path.string(), ": architectures is ", found.dump(),
                    "; expected [\"LlamaForCausalLM\"]");
  }
}

// Older files have rope_theta and rope_scaling, newer ones rope_parameters with both.
void ReadRotation(const std::filesystem::path& path, const json& object, PolicyConfig* config) {
  const ConfigReader reader(path, object);
  config->rope_theta = reader.Get<double>("rope_theta", 10000.0);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!reader.Has(key)) continue;
    const json& rope = object[key];
    const ConfigReader inner(path, rope);
    const auto type =
        inner.Get<std::string>("rope_type", inner.Get<std::string>("type", "default"));
    if (type != "default") {
      throw DataError(path.string(), ": ", key, " of type '", type,
                      "' is not supported; expected none or 'default'");
    }
    config->rope_theta = inner.Get<double>("rope_theta", config->rope_theta);
  }
}

void CheckSizes(const std::filesystem::path& path, const PolicyConfig& c) {
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
  CheckArchitecture(path, object);
  const ConfigReader reader(path, object);
  reader.Require("hidden_act", "silu");
  reader.Require("attention_bias", false);
  reader.Require("mlp_bias", false);
  PolicyConfig config;
  config.vocab_size = reader.Get<int64_t>("vocab_size");
  config.d_model = reader.Get<int64_t>("hidden_size");
  config.num_layers = reader.Get<int64_t>("num_hidden_layers");
  config.num_heads = reader.Get<int64_t>("num_attention_heads");
  config.num_kv_heads = reader.Get<int64_t>("num_key_value_heads", config.num_heads);
  config.head_dim =
      reader.Get<int64_t>("head_dim", config.num_heads > 0 ? config.d_model / config.num_heads : 0);
  config.d_ff = reader.Get<int64_t>("intermediate_size");
  config.rms_eps = reader.Get<double>("rms_norm_eps", 1e-6);
  config.tie_embeddings = reader.Get<bool>("tie_word_embeddings", false);
  config.max_positions = reader.Get<int64_t>("max_position_embeddings", 2048);
  config.bos_id = reader.GetTokenId("bos_token_id");
  config.eos_id = reader.GetTokenId("eos_token_id");
  ReadRotation(path, object, &config);
  CheckSizes(path, config);
  return config;
}

nlohmann::json PolicyConfigJson(const PolicyConfig& config, const std::string& dtype) {
  const auto token = [](int32_t id) { return id < 0 ? json() : json(id); };
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", config.vocab_size},
          {"hidden_size", config.d_model},
          {"num_hidden_layers", config.num_layers},
          {"num_attention_heads", config.num_heads},
          {"num_key_value_heads", config.num_kv_heads},
          {"head_dim", config.head_dim},
          {"intermediate_size", config.d_ff},
          {"hidden_act", "silu"},
          {"attention_bias", false},
          {"mlp_bias", false},
          {"rms_norm_eps", config.rms_eps},
          {"rope_theta", config.rope_theta},
          {"tie_word_embeddings", config.tie_embeddings},
          {"max_position_embeddings", config.max_positions},
          {"bos_token_id", token(config.bos_id)},
          {"eos_token_id", token(config.eos_id)},
          {"torch_dtype", dtype},
          {"use_cache", true}};
}

}  // namespace flame
