// Tests a bfloat16 policy against the double oracle of the same weights, and what it keeps in
// float32.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/safetensors.h"
#include "model/decoder.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// bfloat16 rounds to 2^-8, and a block rounds some ten times.
constexpr double kTolerance = 0.04;

void AddAll(Policy* policy) {
  policy->AddEntities({{"drug", 40, at::arange(30, at::kDouble).sin().view({5, 6}), 7}}, 3);
  AddTestAdapters(policy);
}

Policy HalfPolicy(const char* architecture) {
  Policy policy = TestPolicy(TestConfigOf(architecture), at::kBFloat16);
  AddAll(&policy);
  return policy;
}

// Returns a policy with the same numbers in double.
Policy DoubleTwin(const Policy& policy) {
  Policy twin = TestPolicy(policy.config(), at::kDouble);
  AddAll(&twin);
  for (auto& [name, tensor] : twin.parameters()) tensor.copy_(policy.parameters().at(name));
  return twin;
}

class Bfloat16 : public ::testing::TestWithParam<const char*> {};

TEST_P(Bfloat16, ValuesAndGradients_StayNearTheDoubleOracle) {
  Policy policy = HalfPolicy(GetParam());
  Policy exact = DoubleTwin(policy);
  const auto trainable = policy.SelectTrainable("lora");
  const auto exact_trainable = exact.SelectTrainable("lora");
  auto families = VariedFamilies(37, 51);
  families[0].trunk[1] = 42;
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor found = policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets);
  const at::Tensor expected = Oracle(exact, 4.0).LogProbs(families);
  found.mean().backward();
  expected.mean().backward();
  EXPECT_LT((found - expected).abs().mean().item<double>(), kTolerance);
  for (const auto& [name, tensor] : trainable) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_EQ(tensor.grad().scalar_type(), at::kFloat) << name;
    const at::Tensor exact_gradient = exact_trainable.at(name).grad();
    const at::Tensor difference = tensor.grad().to(at::kDouble) - exact_gradient;
    EXPECT_LT(difference.norm().item<double>(),
              2 * kTolerance * exact_gradient.norm().item<double>())
        << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Architectures, Bfloat16,
                         ::testing::Values("LlamaForCausalLM", "Qwen2ForCausalLM",
                                           "Qwen3ForCausalLM"),
                         [](const auto& name) { return name.param; });

TEST(Bfloat16Policy, FullTraining_IsRefused) {
  Policy policy = TestPolicy(at::kBFloat16);
  try {
    policy.SelectTrainable("full");
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("bfloat16"));
  }
}

TEST(Bfloat16Policy, SaveAndLoad_KeepEveryBitAndEachTensorsType) {
  const fs::path folder =
      fs::temp_directory_path() / ("flame-bfloat16-" + std::to_string(getpid()));
  const Policy policy = HalfPolicy("LlamaForCausalLM");
  SavePolicy(policy, folder);
  const Policy loaded = LoadPolicy(folder, at::kBFloat16);
  const json config = json::parse(ReadWholeFile(folder / "config.json"));
  const std::string stored =
      SafetensorsFile(folder / "model.safetensors").tensors().at("model.norm.weight").dtype;
  fs::remove_all(folder);
  EXPECT_EQ(config.at("torch_dtype"), "bfloat16");
  EXPECT_EQ(stored, "BF16");
  EXPECT_EQ(loaded.dtype(), at::kBFloat16);
  ASSERT_EQ(loaded.parameters().size(), policy.parameters().size());
  for (const auto& [name, tensor] : policy.parameters()) {
    EXPECT_TRUE(at::equal(loaded.parameters().at(name), tensor)) << name;
    EXPECT_EQ(loaded.parameters().at(name).scalar_type(), tensor.scalar_type()) << name;
  }
}

TEST(Bfloat16Policy, MergedAndMaterialized_StaysBfloat16) {
  Policy policy = HalfPolicy("LlamaForCausalLM");
  auto families = VariedFamilies(37, 52);
  families[0].trunk[1] = 42;
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor before = policy.Hidden(batch, {});
  policy.MergeAdapters();
  policy = policy.MaterializeEntities();
  for (const auto& [name, tensor] : policy.parameters()) {
    EXPECT_EQ(tensor.scalar_type(), at::kBFloat16) << name;
  }
  const at::Tensor difference = policy.Hidden(batch, {}) - before;
  EXPECT_LT(difference.abs().mean().item<double>(),
            kTolerance * before.abs().mean().item<double>());
}

TEST(Bfloat16Policy, Decoder_StaysNearTheOracle) {
  Policy policy = TestPolicy(at::kBFloat16);
  Policy exact = TestPolicy(at::kDouble);
  for (auto& [name, tensor] : exact.parameters()) tensor.copy_(policy.parameters().at(name));
  const at::NoGradGuard no_grad;
  Decoder decoder(policy, {.slots = 1, .places = 1, .trunk_tokens = 5, .max_tokens = 1});
  decoder.Prefill({0}, {{3, 1, 4, 1, 5}});
  decoder.Begin(0, 0);
  const at::Tensor logits = decoder.Step({0}, {9})[0];
  EXPECT_EQ(logits.scalar_type(), at::kFloat);
  const at::Tensor expected = Oracle(exact, 0).Hidden({3, 1, 4, 1, 5, 9})[5].matmul(
      exact.parameters().at("model.embed_tokens.weight").t());
  EXPECT_LT(Difference(logits.to(at::kDouble), expected), kTolerance);
}

}  // namespace
}  // namespace flame
