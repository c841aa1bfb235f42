#include "model/shapes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/where.h>

#include <cstdlib>
#include <numbers>

#include "base/error.h"
#include "model/map_names.h"
#include "model/parameter_units.h"

namespace flame {
namespace {

constexpr std::pair<const char*, at::ScalarType> kDtypes[] = {
    {"float32", at::kFloat}, {"float64", at::kDouble}, {"bfloat16", at::kBFloat16}};

}  // namespace

std::string LayerPrefix(int64_t layer) { return StrCat("model.layers.", layer, "."); }

int64_t UnitOfParameter(const std::string& name, const PolicyConfig& config) {
  if (name == "model.embed_tokens.weight") return kEmbeddingUnit;
  if (name == "lm_head.weight") return HeadUnit(config.num_layers);
  if (name == "model.norm.weight") return NormUnit(config.num_layers);
  const std::string prefix = "model.layers.";
  return name.starts_with(prefix) ? BlockUnit(std::atoll(name.c_str() + prefix.size())) : -1;
}

std::vector<std::pair<int64_t, int64_t>> MapShapes(const PolicyConfig& config) {
  const int64_t d = config.d_model, q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  return {{q, d}, {kv, d}, {kv, d}, {d, q}, {config.d_ff, d}, {config.d_ff, d}, {d, config.d_ff}};
}

ShapeMap BaseShapes(const PolicyConfig& config) {
  ShapeMap shapes;
  shapes["model.embed_tokens.weight"] = {config.vocab_size, config.d_model};
  shapes["model.norm.weight"] = {config.d_model};
  if (!config.tie_embeddings) shapes["lm_head.weight"] = {config.vocab_size, config.d_model};
  const auto maps = MapShapes(config);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = LayerPrefix(layer);
    shapes[prefix + "input_layernorm.weight"] = {config.d_model};
    shapes[prefix + "post_attention_layernorm.weight"] = {config.d_model};
    for (size_t m = 0; m < kNumMaps; ++m) {
      shapes[prefix + kMapNames[m] + ".weight"] = {maps[m].first, maps[m].second};
      const bool bias = m == kOutput ? config.output_bias : m < kOutput && config.qkv_bias;
      if (bias) shapes[prefix + kMapNames[m] + ".bias"] = {maps[m].first};
    }
    if (config.qk_norm) {
      shapes[prefix + kQueryNormName] = {config.head_dim};
      shapes[prefix + kKeyNormName] = {config.head_dim};
    }
  }
  return shapes;
}

ShapeMap AdapterShapes(const PolicyConfig& config, const std::vector<std::string>& targets,
                       int64_t rank) {
  ShapeMap shapes;
  const auto maps = MapShapes(config);
  for (const std::string& target : targets) {
    const size_t m = MapIndex("LoRA target", target);
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      const std::string name = LayerPrefix(layer) + kMapNames[m];
      shapes[name + ".lora_A.weight"] = {rank, maps[m].second};
      shapes[name + ".lora_B.weight"] = {maps[m].first, rank};
    }
  }
  return shapes;
}

ShapeMap ProjectorShapes(const PolicyConfig& config, const EntitySlots& slots) {
  const std::string prefix = "entities." + slots.kind + ".";
  return {{prefix + "0.weight", {slots.hidden, slots.collab.size(1)}},
          {prefix + "0.bias", {slots.hidden}},
          {prefix + "2.weight", {config.d_model, slots.hidden}},
          {prefix + "2.bias", {config.d_model}}};
}

at::ScalarType DtypeOf(const std::string& name) {
  for (const auto& [known, dtype] : kDtypes) {
    if (name == known) return dtype;
  }
  throw UsageError("a policy's dtype is float32, float64 or bfloat16, found '", name, "'");
}

std::string DtypeName(at::ScalarType dtype) {
  for (const auto& [name, known] : kDtypes) {
    if (dtype == known) return name;
  }
  throw UsageError("a policy's dtype is float32, float64 or bfloat16, found ",
                   c10::toString(dtype));
}

namespace {

// Computes in float32, operation by operation as transformers does: at position 5,000 one unit in a
// frequency's last place turns a head's first pair by 3e-4.
at::Tensor Scaled(const at::Tensor& frequency, const RopeScaling& scaling) {
  if (scaling.kind == RopeScaling::Kind::kNone) return frequency;
  at::Tensor slow = frequency / scaling.factor;
  if (scaling.kind == RopeScaling::Kind::kLinear) return slow;
  const auto original = static_cast<double>(scaling.original_positions);
  const at::Tensor wavelength = 2 * std::numbers::pi / frequency;
  const at::Tensor share =
      (original / wavelength - scaling.low_freq) / (scaling.high_freq - scaling.low_freq);
  const at::Tensor mean = (1 - share) * frequency / scaling.factor + share * frequency;
  return at::where(wavelength > original / scaling.low_freq, slow,
                   at::where(wavelength < original / scaling.high_freq, frequency, mean));
}

}  // namespace

at::Tensor RotationAngles(const PolicyConfig& config, const at::Tensor& positions) {
  const auto head_dim = static_cast<double>(config.head_dim);
  const at::Tensor exponents = at::arange(0, config.head_dim, 2, positions.options()) / head_dim;
  const at::Tensor frequency = 1.0 / at::pow(config.rope_theta, exponents);
  return positions.unsqueeze(1) * Scaled(frequency, config.rope_scaling).unsqueeze(0);
}

}  // namespace flame
