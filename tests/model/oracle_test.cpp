#include "tests/model/oracle.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tril.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"

namespace flame {
namespace {

at::Tensor RmsNormOracle(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return x * at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true) + eps) * weight;
}

// Scales one frequency by the definition in architecture.h.
double ScaleOracle(double frequency, const RopeScaling& s) {
  if (s.kind == RopeScaling::Kind::kNone) return frequency;
  const double turns = double(s.original_positions) * frequency / (2 * std::acos(-1.0));
  if (s.kind == RopeScaling::Kind::kLinear || turns < s.low_freq) return frequency / s.factor;
  if (turns > s.high_freq) return frequency;
  const double share = (turns - s.low_freq) / (s.high_freq - s.low_freq);
  return frequency * (share + (1 - share) / s.factor);
}

// x [n, heads, D]. Computes angles in float32, as transformers does.
at::Tensor RotateOracle(const at::Tensor& x, double theta, const RopeScaling& scaling) {
  const int64_t n = x.size(0), d = x.size(2), half = d / 2;
  const auto options = at::TensorOptions(at::kFloat);
  at::Tensor frequency = 1.0 / at::pow(theta, at::arange(0, d, 2, options) / double(d));
  for (int64_t i = 0; i < half; ++i) {
    frequency[i] = ScaleOracle(frequency[i].item<double>(), scaling);
  }
  const at::Tensor angle =
      (at::arange(n, options).unsqueeze(1) * frequency.unsqueeze(0)).unsqueeze(1);
  const at::Tensor cosine = angle.cos().to(x.scalar_type()), sine = angle.sin().to(x.scalar_type());
  const at::Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half);
  return at::cat({a * cosine - b * sine, b * cosine + a * sine}, 2);
}

}  // namespace

at::Tensor Oracle::Embed(int32_t token) const {
  for (const EntitySlots& slots : policy_.entities()) {
    const int64_t i = token - slots.first_token;
    if (i < 0 || i >= slots.collab.size(0)) continue;
    const std::string prefix = "entities." + slots.kind + ".";
    const at::Tensor middle =
        at::matmul(Parameter(prefix + "0.weight"), slots.collab[i]) + Parameter(prefix + "0.bias");
    const at::Tensor gelu = middle * 0.5 * (1 + at::erf(middle / std::sqrt(2.0)));
    return at::matmul(Parameter(prefix + "2.weight"), gelu) + Parameter(prefix + "2.bias");
  }
  return Parameter("model.embed_tokens.weight")[token];
}

at::Tensor Oracle::Map(const std::string& name, const at::Tensor& x) const {
  at::Tensor weight = Parameter(name + ".weight");
  if (policy_.parameters().contains(name + ".lora_A.weight")) {
    weight = weight + lora_scale_ * at::matmul(Parameter(name + ".lora_B.weight"),
                                               Parameter(name + ".lora_A.weight"));
  }
  const at::Tensor y = at::matmul(x, weight.t());
  return policy_.parameters().contains(name + ".bias") ? y + Parameter(name + ".bias") : y;
}

at::Tensor Oracle::Attention(const std::string& prefix, const at::Tensor& x) const {
  const PolicyConfig& c = policy_.config();
  const int64_t n = x.size(0), d = c.head_dim;
  const auto heads = [&](const char* map, int64_t count) {
    return Map(prefix + "self_attn." + map, x).view({n, count, d});
  };
  const auto turned = [&](const char* map, const char* norm, int64_t count) {
    at::Tensor x = heads(map, count);
    const std::string name = prefix + "self_attn." + norm + ".weight";
    if (policy_.parameters().contains(name)) {
      x = RmsNormOracle(x, Parameter(name), c.rms_eps);
    }
    return RotateOracle(x, c.rope_theta, c.rope_scaling);
  };
  const at::Tensor query = turned("q_proj", "q_norm", c.num_heads);
  const at::Tensor key = turned("k_proj", "k_norm", c.num_kv_heads);
  const at::Tensor value = heads("v_proj", c.num_kv_heads);
  const at::Tensor seen = at::ones({n, n}, at::kBool).tril();
  std::vector<at::Tensor> outs;
  for (int64_t h = 0; h < c.num_heads; ++h) {
    const int64_t shared = h / (c.num_heads / c.num_kv_heads);
    at::Tensor scores =
        at::matmul(query.select(1, h), key.select(1, shared).t()) / std::sqrt(double(d));
    scores = scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
    outs.push_back(at::matmul(at::softmax(scores, 1), value.select(1, shared)));
  }
  return Map(prefix + "self_attn.o_proj", at::cat(outs, 1));
}

at::Tensor Oracle::Hidden(const std::vector<int32_t>& tokens) const {
  const PolicyConfig& c = policy_.config();
  std::vector<at::Tensor> rows;
  for (const int32_t token : tokens) rows.push_back(Embed(token));
  at::Tensor x = at::stack(rows);
  for (int64_t layer = 0; layer < c.num_layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    x = x + Attention(prefix,
                      RmsNormOracle(x, Parameter(prefix + "input_layernorm.weight"), c.rms_eps));
    const at::Tensor y =
        RmsNormOracle(x, Parameter(prefix + "post_attention_layernorm.weight"), c.rms_eps);
    const at::Tensor gate = Map(prefix + "mlp.gate_proj", y);
    x = x +
        Map(prefix + "mlp.down_proj", gate * at::sigmoid(gate) * Map(prefix + "mlp.up_proj", y));
  }
  return RmsNormOracle(x, Parameter("model.norm.weight"), c.rms_eps);
}

at::Tensor Oracle::LogProbs(const std::vector<Family>& families, double temperature) const {
  const at::Tensor head =
      Parameter(policy_.config().tie_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  std::vector<at::Tensor> values;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) {
      std::vector<int32_t> tokens = family.trunk;
      tokens.insert(tokens.end(), branch.tokens.begin(), branch.tokens.end());
      const at::Tensor logprobs =
          at::log_softmax(at::matmul(Hidden(tokens), head.t()) / temperature, 1);
      for (size_t i = branch.loss_from; i < branch.tokens.size(); ++i) {
        values.push_back(logprobs[family.trunk.size() + i - 1][branch.tokens[i]]);
      }
    }
  }
  return at::stack(values);
}

std::vector<std::vector<int32_t>> Sequences(const std::vector<Family>& families) {
  std::vector<std::vector<int32_t>> sequences;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) {
      sequences.push_back(family.trunk);
      sequences.back().insert(sequences.back().end(), branch.tokens.begin(), branch.tokens.end());
    }
  }
  return sequences;
}

Family MakeFamily(int64_t trunk, const std::vector<int64_t>& branches, int64_t vocab_size,
                  uint64_t seed, int32_t loss_from) {
  RandomStream random(seed, kInit);
  const auto draw = [&](int64_t n) {
    std::vector<int32_t> tokens;
    for (int64_t i = 0; i < n; ++i)
      tokens.push_back(static_cast<int32_t>(random.Below(vocab_size)));
    return tokens;
  };
  Family family{draw(trunk), {}};
  for (const int64_t size : branches) {
    family.branches.push_back({draw(size), std::min(loss_from, static_cast<int32_t>(size))});
  }
  return family;
}

std::vector<Family> VariedFamilies(int64_t vocab_size, uint64_t seed) {
  return {MakeFamily(5, {3}, vocab_size, seed),
          MakeFamily(9, {1, 4, 2, 1, 7}, vocab_size, seed + 1, 1),
          MakeFamily(1, {1, 20, 16, 17, 3}, vocab_size, seed + 2, 2),
          MakeFamily(40, {2, 2}, vocab_size, seed + 3)};
}

PolicyConfig TestConfig(bool tie) {
  PolicyConfig config;
  config.vocab_size = 37;
  config.d_model = 32, config.num_layers = 3, config.num_heads = 4, config.num_kv_heads = 2;
  config.head_dim = 8, config.d_ff = 48, config.tie_embeddings = tie, config.max_positions = 256;
  return config;
}

PolicyConfig TestConfigOf(const std::string& architecture) {
  PolicyConfig config = TestConfig(/*tie=*/false);
  config.architecture = architecture;
  config.qkv_bias = architecture == "Qwen2ForCausalLM";
  config.qk_norm = architecture == "Qwen3ForCausalLM";
  // The frequencies 1, 0.1, 0.01, 0.001 turn 20, 2, 0.2 and 0.02 times in 128 positions: one is
  // left alone, one lies between, and two are slowed.
  config.rope_scaling = {RopeScaling::Kind::kLlama3, /*factor=*/8, /*low_freq=*/1,
                         /*high_freq=*/4, /*original_positions=*/128};
  return config;
}

Policy TestPolicy(at::ScalarType dtype, bool tie, uint64_t seed) {
  return TestPolicy(TestConfig(tie), dtype, seed);
}

Policy TestPolicy(const PolicyConfig& config, at::ScalarType dtype, uint64_t seed) {
  Policy policy = Policy::Random(config, dtype, seed);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : policy.parameters()) {
    if (tensor.dim() == 1) tensor.add_(at::arange(tensor.size(0), tensor.options()).sin() * 0.3);
  }
  return policy;
}

void AddTestAdapters(Policy* policy, double dropout) {
  LoraOptions options;
  options.rank = 4, options.dropout = dropout;
  options.targets = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
  policy->AddAdapters(options, 5);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : policy->parameters()) {
    if (name.ends_with("lora_B.weight")) {
      tensor.copy_(at::arange(tensor.numel(), tensor.options()).view_as(tensor).cos() * 0.05);
    }
  }
}

double Difference(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  if (a.numel() == 0) return 0;
  return (a - b).abs().max().item<double>() / (1 + b.abs().max().item<double>());
}

namespace {

TEST(Oracle, FutureTokens_DoNotChangeThePast) {
  const Policy policy = TestPolicy(at::kDouble);
  const Oracle oracle(policy, 0);
  const at::Tensor full = oracle.Hidden({1, 2, 3, 4, 5});
  EXPECT_LT(Difference(oracle.Hidden({1, 2, 3}), full.narrow(0, 0, 3)), 1e-14);
  EXPECT_GT(Difference(oracle.Hidden({2, 2, 3}), full.narrow(0, 0, 3)), 1e-3);
}

}  // namespace
}  // namespace flame
