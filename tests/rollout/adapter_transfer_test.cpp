#include "rollout/adapter_transfer.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "comm/watchdog.h"
#include "rollout/protocol.h"

namespace flame {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Rank 0 sends to ranks 1 and 2.
class AdapterTransferTest : public ::testing::Test {
 protected:
  void TearDown() override { SetHosts({}); }

  PackedAdapters Pack(int64_t version) {
    const at::Tensor values = at::arange(3000, at::kFloat).add_(static_cast<float>(version));
    return PackAdapters(version, {{"a.lora_A", values}, {"b.lora_B", values.narrow(0, 7, 5)}});
  }

  bool Order(const PackedAdapters& packed, int rank, int64_t oldest = 0) {
    return sender_.Order(packed, oldest, rank);
  }

  // Makes `rank` take what it was ordered to, once the order is sent.
  std::future<PackedAdapters> Take(int rank, const std::function<void(std::string*)>& edit = {}) {
    return std::async(std::launch::async, [this, rank, edit] {
      std::string order = world_[rank]->Receive(0, kRolloutRequestTag).bytes;
      if (edit) edit(&order);
      WireReader in(order);
      EXPECT_EQ(in.Pod<RolloutMessage>(), RolloutMessage::kSync);
      return receivers_[rank - 1].Take(0, &in);
    });
  }

  // Hands one note from `rank` to the sender.
  void Hear(const PackedAdapters& packed, int rank) {
    WireReader in(world_[0]->Receive(rank, kRolloutReplyTag).bytes);
    EXPECT_EQ(in.Pod<RolloutMessage>(), RolloutMessage::kTaking);
    EXPECT_EQ(in.Text(), "");
    sender_.Hear(rank, packed, &in);
  }

  bool HasNote(int rank) {
    Message message;
    return world_[0]->TryReceive(rank, kRolloutReplyTag, std::chrono::milliseconds(20), &message);
  }

  // Makes ranks 1 and 2 take the version, rank 1 first.
  std::pair<PackedAdapters, PackedAdapters> TakenByBoth(const PackedAdapters& packed,
                                                        int64_t oldest = 0) {
    EXPECT_TRUE(Order(packed, 1, oldest));
    auto first = Take(1);
    Hear(packed, 1);
    EXPECT_TRUE(Order(packed, 2, oldest));
    return {first.get(), Take(2).get()};
  }

  std::vector<std::unique_ptr<Communicator>> world_ = MakeLocalGroup(3, std::chrono::seconds(20));
  AdapterSender sender_{world_[0].get()};
  AdapterReceiver receivers_[2] = {AdapterReceiver(world_[1].get()),
                                   AdapterReceiver(world_[2].get())};
};

void Spoil(const PackedAdapters& packed) { packed.bytes.mutable_data_ptr<uint8_t>()[4000] ^= 1; }

std::string FaultOf(std::future<PackedAdapters> taking) {
  try {
    taking.get();
  } catch (const MachineError& error) {
    return error.what();
  }
  return "no MachineError";
}

TEST_F(AdapterTransferTest, RanksOfTheSendersHost_UseTheSendersMemory) {
  const PackedAdapters packed = Pack(3);
  const auto [first, second] = TakenByBoth(packed);
  for (const PackedAdapters& taken : {first, second}) {
    EXPECT_EQ(taken.version, 3);
    EXPECT_TRUE(at::equal(TensorsOf(taken).at("a.lora_A"), TensorsOf(packed).at("a.lora_A")));
  }
  Spoil(packed);
  EXPECT_TRUE(at::equal(first.bytes, packed.bytes));
  EXPECT_TRUE(at::equal(second.bytes, packed.bytes));
}

TEST_F(AdapterTransferTest, RanksOfAnotherHost_UseTheMemoryOfTheOneThatWasSentTheBytes) {
  SetHosts({"here", "there", "there"});
  const PackedAdapters packed = Pack(3);
  const auto [first, second] = TakenByBoth(packed);
  EXPECT_TRUE(at::equal(first.bytes, packed.bytes));
  EXPECT_TRUE(at::equal(second.bytes, packed.bytes));
  Spoil(packed);
  EXPECT_FALSE(at::equal(first.bytes, packed.bytes));
  Spoil(first);
  EXPECT_TRUE(at::equal(second.bytes, first.bytes));
}

TEST_F(AdapterTransferTest, SecondRankOfAHost_WaitsForTheFirstToCheckTheBytes) {
  const PackedAdapters packed = Pack(3);
  EXPECT_TRUE(Order(packed, 2));
  EXPECT_FALSE(Order(packed, 1));
  auto taking = Take(2);
  Hear(packed, 2);
  EXPECT_TRUE(Order(packed, 1));
  taking.get();
  Take(1).get();
  EXPECT_FALSE(HasNote(1));
}

TEST_F(AdapterTransferTest, RankOfAnotherHost_DoesNotWait) {
  SetHosts({"here", "here", "there"});
  const PackedAdapters packed = Pack(3);
  EXPECT_TRUE(Order(packed, 1));
  EXPECT_TRUE(Order(packed, 2));
  EXPECT_TRUE(at::equal(Take(1).get().bytes, packed.bytes));
  EXPECT_TRUE(at::equal(Take(2).get().bytes, packed.bytes));
}

TEST_F(AdapterTransferTest, BytesChangedAfterTheSeal_AreFoundByTheRankThatTakesThem) {
  for (const std::string there : {"here", "there"}) {
    SetHosts({"here", there, "elsewhere"});
    const PackedAdapters packed = Pack(there == "here" ? 3 : 4);
    Spoil(packed);
    EXPECT_TRUE(Order(packed, 1));
    EXPECT_THAT(FaultOf(Take(1)), AllOf(HasSubstr("rank 1"), HasSubstr("checksum"),
                                        HasSubstr(there == "here" ? "version 3" : "version 4")));
    EXPECT_FALSE(HasNote(1));
  }
}

TEST_F(AdapterTransferTest, RankThatCannotMap_GetsAMessageAndAnotherIsFirst) {
  const PackedAdapters packed = Pack(3);
  EXPECT_TRUE(Order(packed, 1));
  auto taking = Take(1, [](std::string* order) { ++(*order)[order->rfind("flame-") + 6]; });
  Hear(packed, 1);
  EXPECT_TRUE(Order(packed, 2));
  auto other = Take(2);
  Hear(packed, 2);
  const PackedAdapters own = taking.get();
  Hear(packed, 1);
  EXPECT_TRUE(at::equal(own.bytes, packed.bytes));
  Spoil(packed);
  EXPECT_FALSE(at::equal(own.bytes, packed.bytes));
  EXPECT_TRUE(at::equal(other.get().bytes, packed.bytes));
  // Later versions are sent to that rank at once, and nobody waits for it.
  const PackedAdapters next = Pack(4);
  EXPECT_TRUE(Order(next, 1));
  EXPECT_TRUE(Order(next, 2));
  EXPECT_TRUE(at::equal(Take(1).get().bytes, next.bytes));
  EXPECT_TRUE(at::equal(Take(2).get().bytes, next.bytes));
}

TEST_F(AdapterTransferTest, MemoryThatIsNotShared_IsSentToTheFirstOfAHost) {
  PackedAdapters packed = Pack(3);
  packed.bytes = packed.bytes.clone();
  const auto [first, second] = TakenByBoth(packed);
  EXPECT_TRUE(at::equal(first.bytes, packed.bytes));
  Spoil(first);
  EXPECT_TRUE(at::equal(second.bytes, first.bytes));
}

TEST_F(AdapterTransferTest, ReceivedBytes_StayUntilNoRankNeedsThem) {
  SetHosts({"here", "there", "there"});
  std::vector<PackedAdapters> packed, taken;
  for (int64_t version = 0; version < 4; ++version) {
    packed.push_back(Pack(version));
    // The first rank drops its own copy at once.
    taken.push_back(TakenByBoth(packed.back(), /*oldest=*/version - 1).second);
    if (version == 0) continue;
    for (int64_t v = version - 1; v <= version; ++v) {
      EXPECT_TRUE(at::equal(taken[v].bytes, packed[v].bytes)) << v << " after " << version;
    }
  }
  // Two buffers took turns.
  EXPECT_TRUE(at::equal(taken[0].bytes, packed[2].bytes));
  EXPECT_TRUE(at::equal(taken[1].bytes, packed[3].bytes));
}

TEST(SyncBuffers, ABufferThatNobodyUses_IsUsedAgain) {
  SyncBuffers buffers;
  at::Tensor whole = buffers.Next(256), part = whole.narrow(0, 64, 8);
  const void* begin = whole.const_data_ptr();
  EXPECT_NE(buffers.Next(256).const_data_ptr(), begin);
  part.reset();
  EXPECT_NE(buffers.Next(256).const_data_ptr(), begin);
  whole.reset();
  EXPECT_EQ(buffers.Next(256).const_data_ptr(), begin);
}

}  // namespace
}  // namespace flame
