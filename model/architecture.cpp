#include "model/architecture.h"

#include "base/error.h"

namespace flame {

const std::vector<Architecture>& KnownArchitectures() {
  static const std::vector<Architecture> table = {
      {"LlamaForCausalLM", "llama", /*qkv_bias=*/false, /*attention_bias_key=*/true,
       /*qk_norm=*/false, /*default_head_dim=*/0},
      {"Qwen2ForCausalLM", "qwen2", true, false, false, 0},
      {"Qwen3ForCausalLM", "qwen3", false, true, true, 128},
  };
  return table;
}

PolicyConfig PolicyPreset(const std::string& name, int64_t vocab_size) {
  PolicyConfig config;
  config.vocab_size = vocab_size;
  if (name == "tiny") {
    config.num_layers = 2, config.d_model = 128, config.num_heads = 4, config.num_kv_heads = 2;
    config.d_ff = 384;
  } else if (name == "small") {
    config.num_layers = 4, config.d_model = 256, config.num_heads = 8, config.num_kv_heads = 4;
    config.d_ff = 768;
  } else {
    throw UsageError("model.preset is '", name, "'; expected tiny or small");
  }
  config.head_dim = config.d_model / config.num_heads;
  return config;
}

}  // namespace flame
