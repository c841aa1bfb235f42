#include "launch/export/gguf.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/export/gguf_file.h"
#include "model/map_names.h"
#include "model/shapes.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Kinds of tokens (llama.cpp's llama_token_type).
constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4;

// The patterns by which llama.cpp knows how to split texts, each with its name there.
const std::vector<std::pair<const char*, const char*>> kSplits = {
    {"llama-bpe",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
    {"qwen2",
     R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}};

struct FileType {
  GgmlType type;
  uint32_t id;  // general.file_type
};

FileType FileTypeOf(const std::string& name) {
  if (name == "f32") return {kF32, 0};
  if (name == "f16") return {kF16, 1};
  return {kQ8, 7};
}

// Returns llama.cpp's name of the way that a tokenizer.json splits texts; "" if it has none.
std::string SplitOf(const json& file) {
  if (!file.value("normalizer", json()).is_null() &&
      file["normalizer"].value("type", "") != "NFC") {
    return "";
  }
  json steps = file.value("pre_tokenizer", json());
  if (!steps.is_object()) return "";
  steps = steps.value("type", "") == "Sequence" ? steps.at("pretokenizers") : json::array({steps});
  const json& last = steps.back();
  if (last.value("type", "") != "ByteLevel" || last.value("add_prefix_space", false)) return "";
  if (steps.size() == 1) return last.value("use_regex", true) ? "gpt-2" : "";
  if (steps.size() != 2 || steps[0].value("type", "") != "Split" ||
      steps[0].value("behavior", "") != "Isolated" || steps[0].value("invert", false) ||
      last.value("use_regex", true)) {
    return "";
  }
  const std::string pattern = steps[0].at("pattern").value("Regex", "");
  for (const auto& [name, known] : kSplits) {
    if (pattern == known) return name;
  }
  return "";
}

void AddTokens(const json& file, int64_t vocab_size, GgufFile* out) {
  std::vector<std::string> tokens(vocab_size);
  std::vector<int32_t> types(vocab_size, kNormal);
  for (const auto& [token, id] : file.at("model").at("vocab").items()) {
    tokens.at(id.get<size_t>()) = token;
  }
  for (const json& added : file.at("added_tokens")) {
    const auto id = added.at("id").get<size_t>();
    tokens.at(id) = added.at("content");
    types[id] = added.at("special").get<bool>() ? kControl : kUserDefined;
  }
  std::vector<std::string> merges;
  for (const json& merge : file.at("model").at("merges")) {
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  out->Texts("tokenizer.ggml.tokens", tokens);
  out->Wholes("tokenizer.ggml.token_type", types);
  out->Texts("tokenizer.ggml.merges", merges);
}

void AddTokenizer(const Policy& policy, const fs::path& folder, GgufFile* out) {
  const std::string where = (folder / "tokenizer.json").string();
  try {
    const json file = json::parse(ReadWholeFile(folder / "tokenizer.json"));
    const json config = json::parse(ReadWholeFile(folder / "tokenizer_config.json"));
    const std::string split = SplitOf(file);
    if (file.at("model").at("type") != "BPE" || file["model"].value("byte_fallback", false) ||
        split.empty()) {
      throw DataError(where, ": not byte-level BPE that splits texts as GPT-2, Llama 3 or Qwen 2 ",
                      "does; llama.cpp knows no other of its kind");
    }
    out->Text("tokenizer.ggml.model", "gpt2");
    out->Text("tokenizer.ggml.pre", split);
    AddTokens(file, policy.config().vocab_size, out);
    const json processor = file.value("post_processor", json());
    out->Bool("tokenizer.ggml.add_bos_token",
              processor.is_object() && processor.dump().find("SpecialToken") != std::string::npos);
    if (config.contains("chat_template")) {
      out->Text("tokenizer.chat_template", config["chat_template"]);
    }
  } catch (const json::exception& error) {
    throw DataError(where, ": ", error.what());
  } catch (const std::out_of_range&) {
    throw DataError(where, " has more tokens than the model's table of ",
                    policy.config().vocab_size, " rows");
  }
  const PolicyConfig& config = policy.config();
  if (config.bos_id >= 0) out->Whole("tokenizer.ggml.bos_token_id", config.bos_id);
  if (!config.end_ids.empty()) out->Whole("tokenizer.ggml.eos_token_id", config.end_ids[0]);
}

void AddModel(const PolicyConfig& config, const std::string& name, const FileType& type,
              GgufFile* out) {
  std::string architecture = "llama";
  for (const Architecture& known : KnownArchitectures()) {
    if (config.architecture == known.name) architecture = known.model_type;
  }
  out->Text("general.architecture", architecture);
  out->Text("general.name", name);
  out->Text("general.description", "Research software: it must not be used to treat patients.");
  out->Whole("general.file_type", type.id);
  out->Whole("general.quantization_version", 2);
  const auto key = [&](const char* rest) { return architecture + "." + rest; };
  const auto whole = [&](const char* rest, int64_t value) {
    out->Whole(key(rest), static_cast<uint32_t>(value));
  };
  whole("context_length", config.max_positions);
  whole("embedding_length", config.d_model);
  whole("block_count", config.num_layers);
  whole("feed_forward_length", config.d_ff);
  whole("attention.head_count", config.num_heads);
  whole("attention.head_count_kv", config.num_kv_heads);
  whole("attention.key_length", config.head_dim);
  whole("attention.value_length", config.head_dim);
  whole("rope.dimension_count", config.head_dim);
  whole("vocab_size", config.vocab_size);
  out->Float(key("attention.layer_norm_rms_epsilon"), static_cast<float>(config.rms_eps));
  out->Float(key("rope.freq_base"), static_cast<float>(config.rope_theta));
  if (config.rope_scaling.kind == RopeScaling::Kind::kLinear) {
    out->Text(key("rope.scaling.type"), "linear");
    out->Float(key("rope.scaling.factor"), static_cast<float>(config.rope_scaling.factor));
  }
}

// The name of a parameter in a GGUF file; "" if it has none.
std::string NameOf(const std::string& name) {
  static const std::map<std::string, std::string> whole = {
      {"model.embed_tokens.weight", "token_embd.weight"},
      {"model.norm.weight", "output_norm.weight"},
      {"lm_head.weight", "output.weight"}};
  static const std::vector<std::pair<std::string, std::string>> parts = {
      {"input_layernorm.", "attn_norm."},    {"post_attention_layernorm.", "ffn_norm."},
      {"self_attn.q_proj.", "attn_q."},      {"self_attn.k_proj.", "attn_k."},
      {"self_attn.v_proj.", "attn_v."},      {"self_attn.o_proj.", "attn_output."},
      {"self_attn.q_norm.", "attn_q_norm."}, {"self_attn.k_norm.", "attn_k_norm."},
      {"mlp.gate_proj.", "ffn_gate."},       {"mlp.up_proj.", "ffn_up."},
      {"mlp.down_proj.", "ffn_down."}};
  if (const auto found = whole.find(name); found != whole.end()) return found->second;
  const std::string prefix = "model.layers.";
  if (!name.starts_with(prefix)) return "";
  const size_t dot = name.find('.', prefix.size());
  const std::string layer = name.substr(prefix.size(), dot - prefix.size());
  for (const auto& [ours, theirs] : parts) {
    if (name.compare(dot + 1, ours.size(), ours) != 0) continue;
    return "blk." + layer + "." + theirs + name.substr(dot + 1 + ours.size());
  }
  return "";
}

// Llama's q and k in the order of rotation that llama.cpp has there: pairs of neighbours in place
// of halves of a head.
at::Tensor WithNeighbours(const at::Tensor& values, int64_t heads) {
  const int64_t half = values.size(0) / heads / 2;
  return values.reshape({heads, 2, half, -1}).transpose(1, 2).reshape(values.sizes());
}

int64_t HeadsToTurn(const std::string& name, const PolicyConfig& config) {
  if (config.architecture != "LlamaForCausalLM") return 0;
  if (name.find("self_attn.q_proj.") != std::string::npos) return config.num_heads;
  return name.find("self_attn.k_proj.") != std::string::npos ? config.num_kv_heads : 0;
}

std::vector<GgufTensor> TensorsOf(const Policy& policy, const GgmlType& type) {
  std::vector<GgufTensor> tensors;
  for (const auto& [name, shape] : BaseShapes(policy.config())) {
    const int64_t heads = HeadsToTurn(name, policy.config());
    GgufTensor tensor{NameOf(name), shape, shape.size() == 2 ? type : kF32, {}};
    if (tensor.name.empty()) throw DataError("'", name, "' has no name in a GGUF file");
    tensor.values = [&policy, name = name, shape = shape, heads] {
      const at::Tensor values = at::empty(shape, at::kFloat);
      policy.CopyParameter(name, 0, values.flatten());
      return heads > 0 ? WithNeighbours(values, heads) : values;
    };
    tensors.push_back(std::move(tensor));
  }
  const PolicyConfig& config = policy.config();
  if (config.rope_scaling.kind == RopeScaling::Kind::kLlama3) {
    PolicyConfig plain = config;
    plain.rope_scaling = {};
    const at::Tensor one = at::ones({1}, at::kFloat);
    const at::Tensor divisors =
        (RotationAngles(plain, one) / RotationAngles(config, one)).flatten();
    tensors.push_back({"rope_freqs.weight", {divisors.size(0)}, kF32, [divisors] {
                         return at::Tensor(divisors);
                       }});
  }
  return tensors;
}

}  // namespace

void WriteGguf(const Policy& policy, const GgufRequest& request) {
  const FileType type = FileTypeOf(request.type);
  GgufFile file;
  AddModel(policy.config(), request.name, type, &file);
  AddTokenizer(policy, request.tokenizer, &file);
  if (!request.slots.empty()) file.Wholes("tokenizer.ggml.suppress_tokens", request.slots);
  file.Write(request.file, TensorsOf(policy, type.type));
}

}  // namespace flame
