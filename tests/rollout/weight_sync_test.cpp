#include "rollout/weight_sync.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/rollout/rollout_fixture.h"

namespace flame {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class F>
std::string MachineFault(F f) {
  try {
    f();
  } catch (const MachineError& error) {
    return error.what();
  }
  return "no MachineError";
}

class WeightSyncTest : public RolloutFixture {};

TEST_F(WeightSyncTest, Adapters_AreTheLoraParametersOnly) {
  const Policy policy = MakePolicy();
  const NamedTensors adapters = AdaptersOf(policy);
  EXPECT_EQ(adapters.size(), 2u * 2 * 2);  // layers x targets x {A, B}
  EXPECT_TRUE(adapters.contains("model.layers.0.self_attn.q_proj.lora_A.weight"));
}

TEST_F(WeightSyncTest, Buffer_RoundTripsBitForBit) {
  for (at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const Policy policy = MakePolicy(dtype);
    const SyncedAdapters synced = UnpackAdapters(PackAdapters(12, AdaptersOf(policy)), 1);
    EXPECT_EQ(synced.version, 12);
    ASSERT_EQ(synced.tensors.size(), AdaptersOf(policy).size());
    for (const auto& [name, tensor] : AdaptersOf(policy)) {
      EXPECT_EQ(synced.tensors.at(name).scalar_type(), dtype);
      EXPECT_TRUE(at::equal(synced.tensors.at(name), tensor)) << name;
    }
  }
}

TEST_F(WeightSyncTest, FlippedByteOfTheBuffer_IsRefusedByChecksum) {
  const std::string buffer = PackAdapters(12, AdaptersOf(MakePolicy()));
  for (size_t at : {buffer.size() - 1, buffer.size() / 2, size_t{200}}) {
    std::string damaged = buffer;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_THAT(MachineFault([&] { UnpackAdapters(damaged, 5); }),
                AllOf(HasSubstr("rank 5"), HasSubstr("version 12"), HasSubstr("SHA-256")));
  }
}

TEST_F(WeightSyncTest, AdaptersOfAnotherShape_AreRefusedByName) {
  Policy policy = MakePolicy();
  const std::string name = "model.layers.1.self_attn.v_proj.lora_A.weight";
  NamedTensors adapters = UnpackAdapters(PackAdapters(1, AdaptersOf(policy)), 0).tensors;
  const at::Tensor tensor = adapters.at(name);
  adapters[name] = at::zeros({1, 2});
  EXPECT_THAT(MachineFault([&] { LoadAdapters(adapters, 6, 3, &policy); }),
              AllOf(HasSubstr("rank 6"), HasSubstr("version 3"), HasSubstr(name)));
  adapters[name] = tensor.to(at::kDouble);
  EXPECT_THAT(MachineFault([&] { LoadAdapters(adapters, 6, 3, &policy); }), HasSubstr(name));
  adapters.erase(name);
  EXPECT_THAT(MachineFault([&] { LoadAdapters(adapters, 6, 3, &policy); }),
              HasSubstr("expected 8 tensors, found 7"));
  adapters["model.layers.9.lora_A.weight"] = tensor;
  EXPECT_THAT(MachineFault([&] { LoadAdapters(adapters, 6, 3, &policy); }),
              HasSubstr("model.layers.9.lora_A.weight"));
}

TEST_F(WeightSyncTest, Canary_SeesEveryKindOfWeight) {
  const Policy whole = MakePolicy();
  const std::vector<double> expected = CanaryLogProbs(whole);
  EXPECT_EQ(CanaryLogProbs(MakePolicy()), expected);
  for (const auto& [name, unused] : whole.parameters()) {
    if (name == "model.embed_tokens.weight") continue;  // only drawn rows of it are used
    Policy policy = MakePolicy();
    Disturb(policy.parameters().at(name), 0.2, 1);
    EXPECT_THAT(
        MachineFault([&] { CheckCanary(expected, CanaryLogProbs(policy), at::kFloat, 4, 9); }),
        AllOf(HasSubstr("rank 4"), HasSubstr("version 9"), HasSubstr("largest difference")))
        << name;
  }
}

TEST(CheckCanary, Tolerance_IsTheDtypes) {
  CheckCanary({-1, -2}, {-1.00005, -2}, at::kFloat, 0, 0);
  EXPECT_THROW(CheckCanary({-1, -2}, {-1.0002, -2}, at::kFloat, 0, 0), MachineError);
  CheckCanary({-1, -2}, {-1, -2 + 5e-10}, at::kDouble, 0, 0);
  EXPECT_THROW(CheckCanary({-1, -2}, {-1, -2 + 2e-9}, at::kDouble, 0, 0), MachineError);
}

TEST(CheckCanary, NaNOrAnotherLength_IsRefused) {
  EXPECT_THROW(CheckCanary({-1, -2}, {NAN, -2}, at::kFloat, 0, 0), MachineError);
  EXPECT_THROW(CheckCanary({-1, NAN}, {-1, NAN}, at::kFloat, 0, 0), MachineError);
  EXPECT_THROW(CheckCanary({-1, -2}, {-1}, at::kFloat, 0, 0), MachineError);
}

}  // namespace
}  // namespace flame
