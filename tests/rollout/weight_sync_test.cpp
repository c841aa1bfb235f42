#include "rollout/weight_sync.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "comm/local_communicator.h"
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

// Returns what rank 1 of two received when rank 0 sent `packed`.
PackedAdapters Carried(const PackedAdapters& packed) {
  auto world = MakeLocalGroup(2, std::chrono::seconds(20));
  WireWriter header;
  WriteHeader(packed, &header);
  WireReader in(header.Take());
  PackedAdapters received = ReadHeader(&in);
  received.bytes = at::empty({PackedSize(received.entries)}, at::kByte);
  const auto works = SendBytes(packed, 1, world[0].get());
  ReceiveBytes(0, world[1].get(), &received);
  for (const auto& work : works) work->Wait();
  return received;
}

TEST_F(WeightSyncTest, Buffer_ArrivesBitForBit) {
  for (at::ScalarType dtype : {at::kFloat, at::kDouble}) {
    const Policy policy = MakePolicy(dtype);
    const PackedAdapters received = Carried(PackAdapters(12, AdaptersOf(policy)));
    EXPECT_EQ(received.version, 12);
    const NamedTensors tensors = TensorsOf(received);
    ASSERT_EQ(tensors.size(), AdaptersOf(policy).size());
    for (const auto& [name, tensor] : AdaptersOf(policy)) {
      EXPECT_EQ(tensors.at(name).scalar_type(), dtype);
      EXPECT_TRUE(at::equal(tensors.at(name), tensor)) << name;
    }
  }
}

TEST_F(WeightSyncTest, BufferOfSeveralParts_ArrivesBitForBit) {
  at::Tensor large = at::arange(700001, at::kInt).to(at::kFloat);
  const NamedTensors adapters = {{"a.lora_A", large.narrow(0, 0, 3)},
                                 {"b.lora_A", large},
                                 {"c.lora_A", large.narrow(0, 5, 90000).view({300, 300})}};
  const NamedTensors tensors = TensorsOf(Carried(PackAdapters(1, adapters)));
  for (const auto& [name, tensor] : adapters) EXPECT_TRUE(at::equal(tensors.at(name), tensor));
}

TEST_F(WeightSyncTest, FlippedByteOfTheBuffer_IsRefusedByChecksum) {
  const int64_t size = PackAdapters(12, AdaptersOf(MakePolicy())).bytes.numel();
  for (const int64_t at : {int64_t{0}, size / 2, size - 1}) {
    const PackedAdapters damaged = PackAdapters(12, AdaptersOf(MakePolicy()));
    damaged.bytes.mutable_data_ptr<uint8_t>()[at] ^= 1;
    EXPECT_THAT(MachineFault([&] { Carried(damaged); }),
                AllOf(HasSubstr("rank 1"), HasSubstr("version 12"), HasSubstr("checksum")));
  }
}

TEST_F(WeightSyncTest, AdaptersOfAnotherShape_AreRefusedByName) {
  const Policy policy = MakePolicy();
  const std::string name = "model.layers.1.self_attn.v_proj.lora_A.weight";
  NamedTensors adapters = AdaptersOf(policy);
  const auto fault = [&] {
    return MachineFault([&] { CheckAdapters(EntriesOf(adapters), 6, 3, policy); });
  };
  EXPECT_EQ(fault(), "no MachineError");
  const at::Tensor tensor = adapters.at(name);
  adapters[name] = at::zeros({1, 2});
  EXPECT_THAT(fault(), AllOf(HasSubstr("rank 6"), HasSubstr("version 3"), HasSubstr(name),
                             HasSubstr("[1, 2]")));
  adapters[name] = tensor.to(at::kDouble);
  EXPECT_THAT(fault(), AllOf(HasSubstr(name), HasSubstr("Double")));
  adapters.erase(name);
  EXPECT_THAT(fault(), HasSubstr("expected 8 tensors, found 7"));
  adapters["model.layers.9.lora_A.weight"] = tensor;
  EXPECT_THAT(fault(), HasSubstr("model.layers.9.lora_A.weight"));
}

TEST_F(WeightSyncTest, UsedAdapters_AreThoseWhereTheyLie) {
  Policy changed = MakePolicy();
  for (const auto& [name, tensor] : AdaptersOf(changed)) Disturb(tensor, 0.3, 99);
  const PackedAdapters packed = PackAdapters(0, AdaptersOf(changed));
  Policy policy = MakePolicy();
  EXPECT_NE(CanaryLogProbs(policy), CanaryLogProbs(changed));
  UseAdapters(TensorsOf(packed), &policy);
  EXPECT_EQ(CanaryLogProbs(policy), CanaryLogProbs(changed));
  packed.bytes.zero_();
  for (const auto& [name, tensor] : AdaptersOf(policy)) {
    EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
  }
}

TEST_F(WeightSyncTest, Canary_SeesEveryKindOfWeight) {
  const Policy whole = MakePolicy();
  const std::vector<double> expected = CanaryLogProbs(whole);
  EXPECT_EQ(CanaryLogProbs(MakePolicy()), expected);
  for (const auto& [name, unused] : whole.parameters()) {
    if (name == "model.embed_tokens.weight") continue;  // only its drawn rows are used
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
