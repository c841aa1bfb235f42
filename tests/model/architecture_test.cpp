// Tests each architecture and each kind of rotation against the oracle and against numbers worked
// out by hand.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "model/decoder.h"
#include "model/files/policy_config.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "model/shapes.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// The oracle scales frequencies in double, the policy in float32 as transformers does, so they may
// differ by one unit in the last place.
constexpr double kTolerance = 1e-6;

at::Tensor Loss(const at::Tensor& logprobs) {
  return (logprobs * (at::arange(logprobs.size(0), logprobs.options()).detach().cos() + 0.3)).sum();
}

std::map<std::string, at::Tensor> TakeGradients(Policy* policy) {
  std::map<std::string, at::Tensor> gradients;
  for (auto& [name, tensor] : policy->parameters()) {
    if (!tensor.requires_grad()) continue;
    gradients[name] = tensor.grad().clone();
    tensor.mutable_grad().reset();
  }
  return gradients;
}

class EachArchitecture : public ::testing::TestWithParam<Architecture> {};

TEST_P(EachArchitecture, OutputsAndGradients_MatchOracle) {
  Policy policy = TestPolicy(TestConfigOf(GetParam().name), at::kDouble);
  AddTestAdapters(&policy);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 31);
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor found = policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets);
  Loss(found).backward();
  const auto gradients = TakeGradients(&policy);
  const at::Tensor expected = Oracle(policy, 4.0).LogProbs(families);
  Loss(expected).backward();
  EXPECT_LT(Difference(found, expected), kTolerance);
  for (const auto& [name, gradient] : TakeGradients(&policy)) {
    EXPECT_LT(Difference(gradients.at(name), gradient), kTolerance) << name;
    // A key's bias has a gradient through the rotation only.
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-9) << name << " has no gradient to compare";
  }
}

TEST_P(EachArchitecture, Decoder_GivesTheOraclesLogits) {
  const Policy policy = TestPolicy(TestConfigOf(GetParam().name), at::kDouble);
  const std::vector<int32_t> trunk = {3, 1, 4, 1, 5};
  const at::NoGradGuard no_grad;
  Decoder decoder(policy, {.slots = 1, .places = 1, .trunk_tokens = 5, .max_tokens = 1});
  decoder.Prefill({0}, {trunk});
  decoder.Begin(0, 0);
  const at::Tensor logits = decoder.Step({0}, {9});
  const at::Tensor expected = Oracle(policy, 0).Hidden({3, 1, 4, 1, 5, 9})[5].matmul(
      policy.parameters().at("lm_head.weight").t());
  EXPECT_LT(Difference(logits[0].to(at::kDouble), expected), 1e-6);
}

TEST_P(EachArchitecture, SaveAndLoad_KeepTheConfig) {
  const fs::path folder =
      fs::temp_directory_path() / ("flame-architecture-" + std::to_string(getpid()));
  const Policy policy = TestPolicy(TestConfigOf(GetParam().name), at::kFloat);
  SavePolicy(policy, folder);
  const Policy loaded = LoadPolicy(folder, at::kFloat);
  const json config = json::parse(ReadWholeFile(folder / "config.json"));
  fs::remove_all(folder);
  EXPECT_EQ(config.at("model_type"), GetParam().model_type);
  EXPECT_EQ(loaded.config().architecture, GetParam().name);
  EXPECT_EQ(loaded.config().rope_scaling.original_positions, 128);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 32));
  EXPECT_TRUE(at::equal(loaded.Hidden(batch, {}), policy.Hidden(batch, {})));
}

INSTANTIATE_TEST_SUITE_P(Table, EachArchitecture, ::testing::ValuesIn(KnownArchitectures()),
                         [](const auto& row) { return row.param.name; });

TEST(Architecture, OutputBias_MatchesOracle) {
  PolicyConfig config = TestConfigOf("LlamaForCausalLM");
  config.qkv_bias = config.output_bias = true;
  Policy policy = TestPolicy(config, at::kDouble);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 33);
  const FamilyBatch batch = PackFamilies(families);
  Loss(policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets)).backward();
  const auto gradients = TakeGradients(&policy);
  Loss(Oracle(policy, 0).LogProbs(families)).backward();
  const char* name = "model.layers.1.self_attn.o_proj.bias";
  const at::Tensor expected = TakeGradients(&policy).at(name);
  EXPECT_LT(Difference(gradients.at(name), expected), kTolerance);
  EXPECT_GT(expected.abs().max().item<double>(), 1e-3);
}

// The figures of Llama 3.1. Pair 29 turns 8192 / (2 pi 5e5^(29/64)) = 3.41086 times in the original
// length: a share of (3.41086 - 1) / 3 = 0.803621 is left alone, so the ratio is 0.803621 +
// 0.196379 / 8. Pair 28 turns 4.19 times, pair 35 0.997 times.
TEST(Rotation, Llama31_HasTheFrequenciesWorkedOutByHand) {
  PolicyConfig config;
  config.head_dim = 128, config.rope_theta = 5e5;
  const at::Tensor position = at::full({1}, 1.0f, at::kFloat);
  const at::Tensor plain = RotationAngles(config, position)[0];
  config.rope_scaling = {RopeScaling::Kind::kLlama3, 8, 1, 4, 8192};
  const at::Tensor scaled = RotationAngles(config, position)[0];
  const auto ratio = [&](int64_t pair) { return (scaled[pair] / plain[pair]).item<double>(); };
  EXPECT_EQ(ratio(0), 1);
  EXPECT_EQ(ratio(28), 1);
  EXPECT_NEAR(ratio(29), 0.828168, 1e-6);
  EXPECT_EQ(ratio(35), 0.125);
  EXPECT_EQ(ratio(63), 0.125);
}

TEST(Rotation, LinearScaling_DividesPositions) {
  PolicyConfig config;
  config.head_dim = 8;
  const at::Tensor plain = RotationAngles(config, at::arange(5, at::kFloat));
  config.rope_scaling = {RopeScaling::Kind::kLinear, 4};
  EXPECT_TRUE(at::equal(RotationAngles(config, at::arange(5, at::kFloat) * 4), plain));
}

class ConfigFile : public ::testing::Test {
 protected:
  void TearDown() override { fs::remove(path_); }
  PolicyConfig Read(const json& changes) const {
    json config = PolicyConfigJson(TestConfigOf(architecture_), "float32");
    config.update(changes);
    WriteFileAtomically(path_, config.dump());
    return ReadPolicyConfig(path_);
  }
  std::string ErrorOf(const json& changes) const {
    try {
      Read(changes);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  }
  std::string architecture_ = "Qwen2ForCausalLM";
  const fs::path path_ =
      fs::temp_directory_path() / ("flame-config-" + std::to_string(getpid()) + ".json");
};

TEST_F(ConfigFile, WhatIsNotSupported_IsNamed) {
  EXPECT_THAT(ErrorOf({{"architectures", {"MistralForCausalLM"}}}),
              HasSubstr("\"MistralForCausalLM\""));
  EXPECT_THAT(ErrorOf({{"use_sliding_window", true}}), HasSubstr("use_sliding_window is true"));
  EXPECT_THAT(ErrorOf({{"layer_types", {"full_attention", "sliding_attention"}}}),
              HasSubstr("\"sliding_attention\""));
  EXPECT_THAT(ErrorOf({{"partial_rotary_factor", 0.5}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(ErrorOf({{"quantization_config", {{"bits", 4}}}}), HasSubstr("quantization_config"));
  EXPECT_THAT(ErrorOf({{"rope_scaling", {{"rope_type", "yarn"}, {"factor", 4}}}}),
              HasSubstr("'yarn' is not supported"));
}

TEST_F(ConfigFile, DamagedScaling_IsRefused) {
  const json whole = {{"rope_type", "llama3"},
                      {"factor", 8},
                      {"low_freq_factor", 1},
                      {"high_freq_factor", 4},
                      {"original_max_position_embeddings", 128}};
  const auto error_with = [&](const char* key, const json& value) {
    json scaling = whole;
    scaling[key] = value;
    return ErrorOf({{"rope_scaling", scaling}});
  };
  EXPECT_EQ(error_with("factor", 8), "no error");
  EXPECT_THAT(error_with("factor", json()), HasSubstr("no key 'factor'"));
  EXPECT_THAT(error_with("factor", 0), HasSubstr("expected factor > 0"));
  EXPECT_THAT(error_with("high_freq_factor", 1), HasSubstr("low_freq_factor < high_freq_factor"));
  EXPECT_THAT(error_with("original_max_position_embeddings", 0), HasSubstr("expected"));
}

TEST_F(ConfigFile, OlderTypeKeyAndNewerParameters_AreUnderstood) {
  const PolicyConfig older = Read({{"rope_scaling", {{"type", "linear"}, {"factor", 2.5}}}});
  EXPECT_EQ(older.rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(older.rope_scaling.factor, 2.5);
  const PolicyConfig newer =
      Read({{"rope_scaling", nullptr},
            {"rope_parameters", {{"rope_type", "linear"}, {"factor", 3}, {"rope_theta", 1e6}}}});
  EXPECT_EQ(newer.rope_scaling.factor, 3);
  EXPECT_EQ(newer.rope_theta, 1e6);
}

TEST_F(ConfigFile, AttentionBias_IsReadWhereTheArchitectureHasIt) {
  EXPECT_FALSE(Read({{"attention_bias", true}}).output_bias);  // Qwen2 does not know the key
  EXPECT_TRUE(Read(json::object()).qkv_bias);
  architecture_ = "Qwen3ForCausalLM";
  EXPECT_TRUE(Read({{"attention_bias", true}}).output_bias);
  EXPECT_FALSE(Read(json::object()).qkv_bias);
}

TEST_F(ConfigFile, MissingHeadDim_IsTheArchitecturesDefault) {
  EXPECT_EQ(Read({{"head_dim", nullptr}, {"hidden_size", 64}}).head_dim, 16);
  architecture_ = "Qwen3ForCausalLM";
  EXPECT_EQ(Read({{"head_dim", nullptr}, {"hidden_size", 64}}).head_dim, 128);
}

}  // namespace
}  // namespace flame
