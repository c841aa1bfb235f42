// Tests that every backend of Communicator must pass. Expected values follow from each rank's
// inputs, which are functions of (rank, index).
#include "tests/comm/conformance.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "base/error.h"

namespace flame {
namespace {

// Lengths around the limits at which a backend changes its way of sending. Most are odd, so that
// shares are uneven.
const std::vector<int64_t> kLengths = {0, 1, 7, 255, 257, 2049, 4097, 30011};

template <class T>
at::Tensor Make(int64_t length) {
  return at::empty({length}, at::TensorOptions(c10::CppTypeToScalarType<T>::value));
}

template <class T, class Value>
at::Tensor Fill(int64_t length, Value value) {
  at::Tensor tensor = Make<T>(length);
  for (int64_t i = 0; i < length; ++i) tensor.data_ptr<T>()[i] = static_cast<T>(value(i));
  return tensor;
}

template <class T, class Value>
void ExpectEach(const at::Tensor& tensor, Value value) {
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    ASSERT_EQ(tensor.data_ptr<T>()[i], static_cast<T>(value(i))) << "element " << i;
  }
}

// Small whole numbers, exact in every dtype.
int Value(int rank, int64_t i) { return static_cast<int>((rank * 3 + i) % 11); }

int Reduced(ReduceOp op, int size, int64_t i) {
  int result = Value(0, i);
  for (int r = 1; r < size; ++r) {
    const int v = Value(r, i);
    result = op == ReduceOp::kSum   ? result + v
             : op == ReduceOp::kMax ? std::max(result, v)
                                    : std::min(result, v);
  }
  return result;
}

template <class T>
class Collectives : public testing::Test {};
using Dtypes = testing::Types<float, double, int32_t, int64_t, uint8_t>;
TYPED_TEST_SUITE(Collectives, Dtypes);

TYPED_TEST(Collectives, AllReduce_EveryOpAndLength_MatchesScalarLoop) {
  using T = TypeParam;
  OnEveryRank([](Communicator& comm) {
    for (int64_t length : kLengths) {
      for (ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
        auto tensor = Fill<T>(length, [&](int64_t i) { return Value(comm.rank(), i); });
        comm.AllReduce(tensor, op)->Wait();
        ExpectEach<T>(tensor, [&](int64_t i) { return Reduced(op, comm.size(), i); });
      }
    }
  });
}

TYPED_TEST(Collectives, Broadcast_EveryRootAndLength_AllHoldTheRootsTensor) {
  using T = TypeParam;
  OnEveryRank([](Communicator& comm) {
    for (int64_t length : kLengths) {
      for (int root = 0; root < comm.size(); ++root) {
        auto tensor = Fill<T>(length, [&](int64_t i) { return Value(comm.rank(), i); });
        comm.Broadcast(tensor, root)->Wait();
        ExpectEach<T>(tensor, [&](int64_t i) { return Value(root, i); });
      }
    }
  });
}

TYPED_TEST(Collectives, AllGather_EveryLength_PartsInRankOrder) {
  using T = TypeParam;
  OnEveryRank([](Communicator& comm) {
    for (int64_t length : kLengths) {
      auto input = Fill<T>(length, [&](int64_t i) { return Value(comm.rank(), i); });
      auto output = Fill<T>(length * comm.size(), [](int64_t) { return 99; });
      comm.AllGather(output, input)->Wait();
      ExpectEach<T>(output, [&](int64_t i) { return Value(i / length, i % length); });
    }
  });
}

TYPED_TEST(Collectives, ReduceScatter_EveryOpAndLength_MatchesScalarLoop) {
  using T = TypeParam;
  OnEveryRank([](Communicator& comm) {
    for (int64_t length : kLengths) {
      for (ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
        auto input =
            Fill<T>(length * comm.size(), [&](int64_t i) { return Value(comm.rank(), i); });
        auto output = Fill<T>(length, [](int64_t) { return 99; });
        comm.ReduceScatter(output, input, op)->Wait();
        ExpectEach<T>(
            output, [&](int64_t i) { return Reduced(op, comm.size(), comm.rank() * length + i); });
      }
    }
  });
}

// Returns values whose magnitudes differ enough that another order of summing gives other bits.
float Rough(int rank, int64_t i) {
  return std::ldexp(1.0f + static_cast<float>((i * 37 + rank * 101) % 997) / 997.0f,
                    static_cast<int>((i + rank * 5) % 23)) *
         ((i + rank) % 2 ? -1.0f : 1.0f);
}

TEST(Reductions, FloatSums_BitsAreThoseOfRankOrder) {
  OnEveryRank([](Communicator& comm) {
    for (int64_t length : {100, 30011}) {
      const auto in_rank_order = [&](int64_t i) {
        float sum = Rough(0, i);
        for (int r = 1; r < comm.size(); ++r) sum += Rough(r, i);
        return sum;
      };
      const auto expect_bits = [&](const at::Tensor& tensor, int64_t first) {
        for (int64_t i = 0; i < tensor.numel(); ++i) {
          ASSERT_EQ(std::bit_cast<uint32_t>(tensor.data_ptr<float>()[i]),
                    std::bit_cast<uint32_t>(in_rank_order(first + i)));
        }
      };
      auto tensor = Fill<float>(length, [&](int64_t i) { return Rough(comm.rank(), i); });
      comm.AllReduce(tensor, ReduceOp::kSum)->Wait();
      expect_bits(tensor, 0);
      auto input =
          Fill<float>(length * comm.size(), [&](int64_t i) { return Rough(comm.rank(), i); });
      auto output = Make<float>(length);
      comm.ReduceScatter(output, input, ReduceOp::kSum)->Wait();
      expect_bits(output, comm.rank() * length);
    }
  });
}

TEST(Reductions, NotANumberOnOneRank_ReachesAll) {
  OnEveryRank([](Communicator& comm) {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (ReduceOp op : {ReduceOp::kSum, ReduceOp::kMax, ReduceOp::kMin}) {
      for (int bad = 0; bad < comm.size(); ++bad) {
        auto tensor =
            Fill<float>(3, [&](int64_t i) { return comm.rank() == bad && i == 1 ? nan : 1.0f; });
        comm.AllReduce(tensor, op)->Wait();
        EXPECT_FALSE(std::isnan(tensor.data_ptr<float>()[0]));
        EXPECT_TRUE(std::isnan(tensor.data_ptr<float>()[1]));
      }
    }
  });
}

TEST(Works, ManyUnderWay_WaitedForInAnotherOrderOnEachRank_AllComplete) {
  OnEveryRank([](Communicator& comm) {
    constexpr int kWorks = 6;
    std::vector<at::Tensor> tensors;
    std::vector<std::unique_ptr<Work>> works;
    for (int k = 0; k < kWorks; ++k) {
      tensors.push_back(Fill<double>(5001, [&](int64_t i) { return comm.rank() + k + i; }));
      works.push_back(comm.AllReduce(tensors.back(), ReduceOp::kSum));
    }
    for (int k = 0; k < kWorks; ++k) works[comm.rank() % 2 ? kWorks - 1 - k : k]->Wait();
    const int n = comm.size();
    for (int k = 0; k < kWorks; ++k) {
      ExpectEach<double>(tensors[k], [&](int64_t i) { return n * (k + i) + n * (n - 1) / 2; });
    }
  });
}

TEST(Works, DoneWithoutWaiting_BecomesTrueAndWaitReturns) {
  OnEveryRank([](Communicator& comm) {
    auto tensor = Fill<float>(9, [](int64_t) { return 1; });
    auto work = comm.AllReduce(tensor, ReduceOp::kSum);
    while (!work->Done()) {
    }
    work->Wait();
    ExpectEach<float>(tensor, [&](int64_t) { return comm.size(); });
  });
}

TEST(Works, RankReceivesBetweenStartAndWait_PeersCompleteMeanwhile) {
  OnEveryRank([](Communicator& comm) {
    auto tensor = Fill<float>(100000, [](int64_t) { return 1; });
    auto work = comm.AllReduce(tensor, ReduceOp::kSum);
    // Rank 0 waits for the work only after the others report that theirs is done.
    if (comm.rank() == 0) {
      for (int peer = 1; peer < comm.size(); ++peer) comm.Receive(peer, 1);
      work->Wait();
    } else {
      work->Wait();
      comm.Send("done", 0, 1);
    }
    ExpectEach<float>(tensor, [&](int64_t) { return comm.size(); });
  });
}

TEST(Barriers, Barrier_NoRankLeavesBeforeAllHaveCome) {
  OnEveryRank([](Communicator& comm) {
    Message message;
    if (comm.rank() != 0) comm.Send("before", 0, 5);
    comm.Barrier();
    if (comm.rank() == 0) {
      for (int peer = 1; peer < comm.size(); ++peer) {
        EXPECT_EQ(comm.Receive(peer, 5).bytes, "before");
      }
    }
    comm.Barrier();
    EXPECT_FALSE(
        comm.TryReceive(Communicator::kAnySource, 5, Communicator::Milliseconds(0), &message));
  });
}

std::string Pattern(size_t length, int salt) {
  std::string bytes(length, '\0');
  for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>(i * 31 + i / 256 + salt);
  return bytes;
}

TEST(Messages, AnyLength_ArrivesWholeAndInOrder) {
  OnEveryRank([](Communicator& comm) {
    const std::vector<size_t> lengths = {0, 1, 2047, 2048, 2049, 70001, 3000000, 5};
    const int next = (comm.rank() + 1) % comm.size();
    const int previous = (comm.rank() + comm.size() - 1) % comm.size();
    for (size_t k = 0; k < lengths.size(); ++k) {
      comm.Send(Pattern(lengths[k], comm.rank() + k), next, 3);
    }
    for (size_t k = 0; k < lengths.size(); ++k) {
      const Message message = comm.Receive(previous, 3);
      EXPECT_EQ(message.source, previous);
      EXPECT_EQ(message.tag, 3);
      EXPECT_TRUE(message.bytes == Pattern(lengths[k], previous + k)) << "message " << k;
    }
  });
}

TEST(Messages, OtherTag_IsNotTaken) {
  OnEveryRank([](Communicator& comm) {
    const int next = (comm.rank() + 1) % comm.size();
    const int previous = (comm.rank() + comm.size() - 1) % comm.size();
    comm.Send("first", next, 10);
    comm.Send("second", next, 11);
    EXPECT_EQ(comm.Receive(previous, 11).bytes, "second");
    EXPECT_EQ(comm.Receive(previous, 10).bytes, "first");
    Message message;
    EXPECT_FALSE(comm.TryReceive(previous, 12, Communicator::Milliseconds(1), &message));
  });
}

TEST(Messages, AnySource_EachPeersMessagesComeOnceAndInOrder) {
  OnEveryRank([](Communicator& comm) {
    constexpr int kEach = 20;
    if (comm.rank() != 0) {
      for (int k = 0; k < kEach; ++k) {
        comm.Send(std::to_string(comm.rank()) + ":" + std::to_string(k), 0, 2);
      }
      return;
    }
    std::vector<int> next(comm.size(), 0);
    for (int k = 0; k < kEach * (comm.size() - 1); ++k) {
      const Message message = comm.Receive(Communicator::kAnySource, 2);
      EXPECT_EQ(message.bytes,
                std::to_string(message.source) + ":" + std::to_string(next[message.source]++));
    }
    for (int peer = 1; peer < comm.size(); ++peer) EXPECT_EQ(next[peer], kEach);
  });
}

TEST(Messages, TryReceive_WaitsForALateMessage) {
  OnEveryRank([](Communicator& comm) {
    const int peer = comm.size() - 1;
    if (comm.rank() == 0) {
      Message message;
      if (peer != 0) comm.Send("go", peer, 6);
      if (peer == 0) comm.Send("late", 0, 7);
      ASSERT_TRUE(comm.TryReceive(peer, 7, std::chrono::seconds(20), &message));
      EXPECT_EQ(message.bytes, "late");
    } else if (comm.rank() == peer) {
      comm.Receive(0, 6);
      comm.Send("late", 0, 7);
    }
  });
}

TEST(Transfers, AnyLength_ArriveInOrderBesideMessagesOfTheSameTag) {
  OnEveryRank([](Communicator& comm) {
    const int next = (comm.rank() + 1) % comm.size();
    const int before = (comm.rank() + comm.size() - 1) % comm.size();
    std::vector<std::unique_ptr<Work>> works;
    std::vector<at::Tensor> received;
    for (const int64_t length : {1, 1000, 3000000}) {
      works.push_back(comm.SendTensor(
          Fill<float>(length, [&](int64_t i) { return Value(comm.rank(), i); }), next, 7));
      received.push_back(Make<float>(length));
      works.push_back(comm.ReceiveTensor(received.back(), before, 7));
    }
    comm.Send(std::string(5000, 'x'), next, 7);
    EXPECT_EQ(comm.Receive(before, 7).bytes, std::string(5000, 'x'));
    for (const auto& work : works) work->Wait();
    for (const at::Tensor& tensor : received) {
      ExpectEach<float>(tensor, [&](int64_t i) { return Value(before, i); });
    }
  });
}

TEST(Transfers, TensorThatIsNotContiguousOrEmpty_IsRefused) {
  OnEveryRank([](Communicator& comm) {
    const at::Tensor square = Make<float>(16).view({4, 4});
    EXPECT_THROW(comm.SendTensor(square.t(), 0, 1), MachineError);
    EXPECT_THROW(comm.ReceiveTensor(Make<float>(0), 0, 1), MachineError);
    EXPECT_THROW(comm.SendTensor(square, comm.size(), 1), MachineError);
  });
}

TEST(Transfers, TensorShorterThanItsPlace_IsNotTakenForWhole) {
  OnEveryRank([](Communicator& comm) {
    const int next = (comm.rank() + 1) % comm.size();
    const int before = (comm.rank() + comm.size() - 1) % comm.size();
    const auto sent = comm.SendTensor(Make<float>(4), next, 3);
    const at::Tensor place = Make<float>(8);
    const auto received = comm.ReceiveTensor(place, before, 3);
    EXPECT_THROW(received->Wait(), MachineError);
    sent->Wait();
  });
}

TEST(Splits, RanksOfTheJob_AreTold) {
  OnEveryRank([](Communicator& comm) {
    const auto part = comm.Split(comm.rank() % 2);
    for (int r = 0; r < part->size(); ++r) EXPECT_EQ(part->WorldRank(r), 2 * r + comm.rank() % 2);
  });
}

TEST(Splits, ByParity_CollectivesAndMessagesStayWithin) {
  OnEveryRank([](Communicator& comm) {
    const int color = comm.rank() % 2 ? -7 : 12;
    auto part = comm.Split(color);
    const int expected_size = (comm.size() + (comm.rank() % 2 ? 0 : 1)) / 2;
    ASSERT_EQ(part->size(), expected_size);
    EXPECT_EQ(part->rank(), comm.rank() / 2);
    auto tensor = Fill<int64_t>(3, [&](int64_t) { return comm.rank(); });
    auto all = Fill<int64_t>(3, [&](int64_t) { return comm.rank(); });
    auto outer = comm.AllReduce(all, ReduceOp::kSum);
    part->AllReduce(tensor, ReduceOp::kSum)->Wait();
    outer->Wait();
    const int64_t n = part->size();
    ExpectEach<int64_t>(tensor, [&](int64_t) { return n * (n - 1) + (comm.rank() % 2) * n; });
    ExpectEach<int64_t>(all, [&](int64_t) { return comm.size() * (comm.size() - 1) / 2; });

    comm.Send("outer", comm.rank(), 4);
    part->Send("inner", part->rank(), 4);
    EXPECT_EQ(part->Receive(part->rank(), 4).bytes, "inner");
    EXPECT_EQ(comm.Receive(comm.rank(), 4).bytes, "outer");
  });
}

TEST(Splits, SplitOfASplit_HasTheRanksOfBothColors) {
  OnEveryRank([](Communicator& comm) {
    auto all = comm.Split(0);
    auto alone = all->Split(comm.rank());
    EXPECT_EQ(all->size(), comm.size());
    EXPECT_EQ(alone->size(), 1);
    alone->Barrier();
    all->Barrier();
  });
}

TEST(Arguments, TensorsThatDoNotFit_AreRefusedBeforeAnythingIsSent) {
  OnEveryRank([](Communicator& comm) {
    EXPECT_THROW(comm.AllReduce(at::Tensor(), ReduceOp::kSum), MachineError);
    EXPECT_THROW(comm.AllReduce(Make<float>(8).view({2, 4}).t(), ReduceOp::kSum), MachineError);
    EXPECT_THROW(comm.AllGather(Make<float>(3 * comm.size()), Make<float>(2)), MachineError);
    EXPECT_THROW(comm.AllGather(Make<double>(2 * comm.size()), Make<float>(2)), MachineError);
    EXPECT_THROW(
        comm.ReduceScatter(Make<float>(2), Make<float>(2 * comm.size() + 1), ReduceOp::kSum),
        MachineError);
    EXPECT_THROW(comm.Broadcast(Make<float>(2), comm.size()), MachineError);
    EXPECT_THROW(comm.Send("x", -1, 0), MachineError);
    EXPECT_THROW(comm.Send("x", 0, -1), MachineError);
    comm.Barrier();  // the sequence is still the same on all ranks
  });
}

}  // namespace
}  // namespace flame
