// Tests the policy and the decoder on a device whose memory the host cannot read, against the CPU.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/decoder.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "tests/fake_device/fake_device.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

EntitySlots SomeSlots() {
  EntitySlots slots;
  slots.kind = "drug";
  slots.first_token = 40;
  slots.collab = at::ones({3, 5}, at::kFloat).cumsum(0).cumsum(1).mul_(0.1);
  slots.hidden = 6;
  return slots;
}

struct Computed {
  at::Tensor logprobs, entropy;
  std::map<std::string, at::Tensor> gradients;
};

Computed Compute(Policy* policy, const std::string& which, const ForwardOptions& options) {
  auto families = VariedFamilies(37, 3);
  families[0].trunk[0] = 41;  // a slot
  const FamilyBatch batch = PackFamilies(families);
  auto trainable = policy->SelectTrainable(which);
  Computed computed;
  const at::Tensor logprobs = policy->LogProbs(policy->Hidden(batch, options), batch.sources,
                                               batch.targets, 0.7, &computed.entropy);
  EXPECT_EQ(logprobs.device(), policy->device());
  logprobs.sum().backward();
  computed.logprobs = logprobs.detach().cpu();
  computed.entropy = computed.entropy.cpu();
  for (auto& [name, tensor] : trainable) {
    EXPECT_EQ(tensor.grad().device(), policy->device()) << name;
    computed.gradients[name] = tensor.grad().cpu();
  }
  return computed;
}

// One policy, on the CPU and on the device.
struct Pair {
  Policy cpu, device;
};

Pair MakePair(const PolicyConfig& config, at::ScalarType dtype, Quantization quantization,
              bool adapters) {
  const auto make = [&] {
    Policy policy = TestPolicy(config, dtype);
    policy.AddEntities({SomeSlots()}, 4);
    policy.QuantizeMaps(quantization);
    if (adapters) AddTestAdapters(&policy, /*dropout=*/0.25);
    return policy;
  };
  Pair pair = {make(), make()};
  pair.device.MoveTo(FakeDevice());
  return pair;
}

void ExpectSame(Pair pair, const std::string& which, const ForwardOptions& options,
                double tolerance) {
  const Computed expected = Compute(&pair.cpu, which, options);
  const Computed found = Compute(&pair.device, which, options);
  EXPECT_LT(Difference(found.logprobs, expected.logprobs), tolerance);
  EXPECT_LT(Difference(found.entropy, expected.entropy), tolerance);
  ASSERT_EQ(found.gradients.size(), expected.gradients.size());
  for (const auto& [name, gradient] : expected.gradients) {
    const double error = (found.gradients.at(name) - gradient).norm().item<double>();
    EXPECT_LT(error, tolerance * (1e-3 + gradient.norm().item<double>())) << name;
  }
}

TEST(PolicyOnADevice, EveryGradient_IsTheCpus) {
  ExpectSame(MakePair(TestConfigOf("Qwen3ForCausalLM"), at::kFloat, Quantization::kNone, false),
             "full", {}, 1e-4);
  ExpectSame(MakePair(TestConfig(true), at::kFloat, Quantization::kNone, false), "full",
             {.recompute = true}, 1e-4);
}

TEST(PolicyOnADevice, AdaptersWithDropout_AreTheCpus) {
  ExpectSame(MakePair(TestConfig(true), at::kFloat, Quantization::kNone, true), "lora",
             {.dropout_seed = 9, .recompute = true}, 1e-4);
}

TEST(PolicyOnADevice, Bfloat16_IsTheCpusUpToRounding) {
  ExpectSame(MakePair(TestConfig(false), at::kBFloat16, Quantization::kNone, true), "lora", {},
             0.1);
}

TEST(PolicyOnADevice, QuantisedMaps_AreTheCpus) {
  for (const Quantization kind : {Quantization::kInt8, Quantization::kNf4}) {
    ExpectSame(MakePair(TestConfig(true), at::kFloat, kind, true), "lora", {}, 1e-4);
  }
}

// Does everything that a stage does with a policy after moving it.
TEST(PolicyOnADevice, MergedMaterialisedAndGivenAdapters_SavesWhatTheCpuDoes) {
  Pair pair = MakePair(TestConfig(true), at::kFloat, Quantization::kInt8, true);
  const auto folder = std::filesystem::path(testing::TempDir()) / "flame-device-policy";
  for (Policy* policy : {&pair.cpu, &pair.device}) {
    policy->MergeAdapters();
    *policy = policy->MaterializeEntities();
    policy->AddEntities({}, 1);
    policy->AddAdapters(LoraOptions(), 3);
    for (const auto& [name, tensor] : policy->parameters()) {
      EXPECT_EQ(tensor.device(), policy->device()) << name;
    }
    SavePolicy(*policy, folder / (policy == &pair.cpu ? "cpu" : "device"));
  }
  const Policy expected = LoadPolicy(folder / "cpu", at::kFloat);
  const Policy found = LoadPolicy(folder / "device", at::kFloat);
  ASSERT_EQ(found.parameters().size(), expected.parameters().size());
  for (const auto& [name, tensor] : expected.parameters()) {
    EXPECT_LT(Difference(found.parameters().at(name), tensor), 1e-6) << name;
  }
  pair.device.MergeAdapters();
  LoadPeftAdapters(folder / "device", &pair.device);
  EXPECT_EQ(pair.device.parameters().at("model.layers.0.self_attn.q_proj.lora_A.weight").device(),
            FakeDevice());
}

// Decodes two trunks and five branches on four slots; some branches pause, end and begin anew.
void ExpectSameDecoding(const Pair& pair, Decoder* expected, Decoder* found, double tolerance) {
  const std::vector<std::vector<int32_t>> trunks = {{1, 2, 3, 41, 5}, {7, 8}};
  const auto same = [&](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_TRUE(a.is_cpu());
    EXPECT_EQ(a.scalar_type(), at::kFloat);
    EXPECT_LT(Difference(a, b), tolerance);
  };
  const auto both = [&](auto&& body) { body(expected), body(found); };
  const auto step = [&](std::vector<int64_t> slots, std::vector<int64_t> tokens) {
    same(found->Step(slots, tokens), expected->Step(slots, tokens));
  };
  same(found->Prefill({1, 0}, trunks), expected->Prefill({1, 0}, trunks));
  both([](Decoder* d) { d->Begin(3, 1), d->Begin(0, 0), d->Begin(1, 1); });
  step({3, 0, 1}, {4, 5, 6});
  step({0}, {9});
  step({1, 3}, {10, 11});
  both([](Decoder* d) { d->Begin(0, 1), d->Begin(2, 0); });
  step({2, 1, 0, 3}, {12, 13, 14, 15});
  step({0, 1}, {1, 2});
  // A new trunk takes place 0; slot 2 continues there.
  same(found->Prefill({0}, {{9, 9, 9}}), expected->Prefill({0}, {{9, 9, 9}}));
  both([](Decoder* d) { d->Begin(2, 0), d->Begin(1, 0); });
  step({2, 0, 3}, {3, 4, 5});
  step({1}, {6});
}

constexpr DecoderShape kShape = {.slots = 4, .places = 2, .trunk_tokens = 6, .max_tokens = 5};

void ExpectDecodesAsTheCpu(at::ScalarType dtype, Quantization quantization, double tolerance) {
  const Pair pair = MakePair(TestConfigOf("Qwen2ForCausalLM"), dtype, quantization, true);
  int64_t replays = 0;
  Decoder expected(pair.cpu, kShape), found(pair.device, kShape, MakeStrictRecorder(&replays));
  ExpectSameDecoding(pair, &expected, &found, tolerance);
  EXPECT_EQ(replays, 5);
}

TEST(DecoderOnADevice, RecordedSteps_GiveTheCpusLogits) {
  ExpectDecodesAsTheCpu(at::kFloat, Quantization::kNone, 1e-5);
  ExpectDecodesAsTheCpu(at::kFloat, Quantization::kNf4, 1e-5);
  ExpectDecodesAsTheCpu(at::kBFloat16, Quantization::kNone, 0.05);
}

TEST(DecoderOnADevice, WithoutARecorder_TheSame) {
  const Pair pair = MakePair(TestConfig(true), at::kFloat, Quantization::kNone, true);
  Decoder expected(pair.cpu, kShape), found(pair.device, kShape);
  ExpectSameDecoding(pair, &expected, &found, 1e-5);
}

TEST(DecoderOnADevice, AStep_CopiesIdsOverAndLogitsBackOnce) {
  const Pair pair = MakePair(TestConfig(true), at::kFloat, Quantization::kNone, true);
  Decoder decoder(pair.device, kShape);
  decoder.Prefill({0}, {{1, 2, 3}});
  decoder.Begin(0, 0), decoder.Begin(1, 0);
  const FakeDeviceCounts before = CountOfFakeDevice();
  decoder.Step({0, 1}, {4, 5});
  const FakeDeviceCounts after = CountOfFakeDevice();
  EXPECT_EQ(after.to_host - before.to_host, 1);
  EXPECT_EQ(after.to_device - before.to_device, 2);  // sizes and ids; the rows to return
  EXPECT_EQ(after.scalars, before.scalars);
}

TEST(StaticDecoder, MoreBranchesThanAPlaceHasSeats_AreRefused) {
  const Policy policy = TestPolicy(at::kFloat);
  DecoderShape shape = kShape;
  shape.group = 2;
  Decoder decoder(policy, shape, nullptr);
  decoder.Prefill({0}, {{1, 2, 3}});
  decoder.Begin(0, 0), decoder.Begin(1, 0), decoder.Begin(1, 0);
  EXPECT_THROW(decoder.Begin(2, 0), UsageError);
  decoder.Prefill({0}, {{4}});
  decoder.Begin(2, 0), decoder.Begin(3, 0);
}

TEST(StaticDecoder, TokenOutsideTheTable_IsRefused) {
  const Policy policy = TestPolicy(at::kFloat);
  Decoder decoder(policy, kShape, nullptr);
  decoder.Prefill({0}, {{1, 2, 3}});
  decoder.Begin(0, 0);
  EXPECT_THROW(decoder.Step({0}, {37}), UsageError);
  EXPECT_THROW(decoder.Step({0}, {-1}), UsageError);
}

}  // namespace
}  // namespace flame
