// The fields of a Hugging Face config.json that a policy needs, and the supported architectures.
#ifndef FLAME_MODEL_ARCHITECTURE_H_
#define FLAME_MODEL_ARCHITECTURE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flame {

// A model family that differs from Llama only in these fields. A new family is a new row of
// KnownArchitectures.
struct Architecture {
  const char* name;          // its name in config.json's `architectures`
  const char* model_type;    // its config.json `model_type`
  bool qkv_bias;             // q, k and v always have a bias
  bool attention_bias_key;   // the key `attention_bias` may give q, k, v and o a bias
  bool qk_norm;              // RMSNorm over each head of q and k, before rotation
  int64_t default_head_dim;  // used if the file has no head_dim; 0: hidden_size / heads
};
const std::vector<Architecture>& KnownArchitectures();

// Scaling of the rotary frequencies f = 1 / theta^(2i / head_dim); wavelength = 2 pi / f.
// linear: f / factor (Chen et al. 2023). llama3 (Grattafiori et al. 2024): f / factor if the
// wavelength exceeds original_positions / low_freq, f if it is below original_positions /
// high_freq, and between them a mean of both that is linear in original_positions / wavelength.
struct RopeScaling {
  enum class Kind { kNone, kLinear, kLlama3 };
  Kind kind = Kind::kNone;
  double factor = 1;
  double low_freq = 1, high_freq = 4;  // llama3 only
  int64_t original_positions = 8192;   // llama3 only
};

struct PolicyConfig {
  std::string architecture = "LlamaForCausalLM";  // a name of KnownArchitectures
  int64_t vocab_size = 0;  // rows of the embedding table; entity slots come after them
  int64_t d_model = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0, head_dim = 0, d_ff = 0;
  bool qkv_bias = false, output_bias = false;  // bias of q_proj, k_proj and v_proj; bias of o_proj
  bool qk_norm = false;
  double rope_theta = 10000, rms_eps = 1e-6;
  RopeScaling rope_scaling;
  bool tie_embeddings = true;
  int64_t max_positions = 2048;
  int32_t bos_id = -1;           // -1: none
  std::vector<int32_t> end_ids;  // any of them ends a text; training writes the first
};

// Returns the config of a preset: "tiny" (2 layers, d 128, 4 heads, 2 KV heads, FFN 384) or "small"
// (4 layers, d 256, ...). vocab_size, bos and eos are the tokenizer's. Throws UsageError on another
// name.
PolicyConfig PolicyPreset(const std::string& name, int64_t vocab_size);

}  // namespace flame

#endif  // FLAME_MODEL_ARCHITECTURE_H_
