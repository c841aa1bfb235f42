// Tests of ranks (threads) that stay away or make other calls: the errors that the other ranks get.
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/local_communicator.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Deadlines of tests in which the deadline passes, and of tests in which it must not.
constexpr Communicator::Milliseconds kShort(2000), kLong(10'000);

// Returns the text of each rank's MachineError, "" without one.
std::vector<std::string> ErrorsOf(int size, Communicator::Milliseconds deadline,
                                  const std::function<void(Communicator&)>& body) {
  auto group = MakeLocalGroup(size, deadline);
  std::vector<std::string> errors(size);
  std::vector<std::thread> threads;
  for (int r = 0; r < size; ++r) {
    threads.emplace_back([&, r] {
      try {
        body(*group[r]);
      } catch (const MachineError& error) {
        errors[r] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return errors;
}

TEST(Deadline, AbsentRanks_AreNamedWithOperationAndSequence) {
  const auto errors = ErrorsOf(4, kShort, [](Communicator& comm) {
    comm.Barrier();
    if (comm.rank() % 2) return;
    comm.AllReduce(at::ones({3}), ReduceOp::kMax)->Wait();
  });
  EXPECT_EQ(errors[0],
            "rank 0: all-reduce #2 (maximum of Float, 12 bytes) on 'local' was not "
            "answered within 2 s by ranks 1, 3");
  EXPECT_THAT(errors[2], HasSubstr("rank 2: all-reduce #2"));
  EXPECT_EQ(errors[1], "");
}

TEST(Deadline, AbsentRankOfASplit_HasItsRankInTheJob) {
  const auto errors = ErrorsOf(4, kShort, [](Communicator& comm) {
    auto odd = comm.Split(comm.rank() % 2);
    if (comm.rank() == 1) odd->Barrier();
  });
  EXPECT_EQ(errors[1], "rank 1: barrier #1 on 'local/1' was not answered within 2 s by rank 3");
}

TEST(Deadline, MessageNeverSent_NamesSenderAndTag) {
  const auto errors = ErrorsOf(3, kShort, [](Communicator& comm) {
    if (comm.rank() == 0) comm.Receive(2, 5);
    if (comm.rank() == 1) comm.Receive(Communicator::kAnySource, 6);
  });
  EXPECT_EQ(errors[0],
            "rank 0: receive #1 of tag 5 on 'local' was not answered within 2 s by rank 2");
  EXPECT_THAT(errors[1], HasSubstr("receive #1 of tag 6 on 'local' was not answered within 2 s "
                                   "by ranks 0, 2"));
}

TEST(Deadline, ATakenDeadline_DoesNotSpoilALaterMessage) {
  const auto errors = ErrorsOf(2, kLong, [](Communicator& comm) {
    Message message;
    if (comm.rank() == 0) {
      EXPECT_FALSE(comm.TryReceive(1, 1, Communicator::Milliseconds(5), &message));
      comm.Send("go", 1, 1);
      EXPECT_EQ(comm.Receive(1, 1).bytes, "answer");
    } else {
      comm.Receive(0, 1);
      comm.Send("answer", 0, 1);
    }
  });
  EXPECT_EQ(errors, (std::vector<std::string>{"", ""}));
}

// Each rank must be told the other's operation, whichever pair the two run.
TEST(Mismatch, AnyTwoDifferentCollectives_EachRankNamesBoth) {
  const std::vector<std::pair<std::string, std::function<void(Communicator&)>>> operations = {
      {"all-reduce #1 (sum of Float, 40000 bytes)",
       [](Communicator& c) { c.AllReduce(at::ones({10000}), ReduceOp::kSum)->Wait(); }},
      {"all-reduce #1 (maximum of Float, 40000 bytes)",
       [](Communicator& c) { c.AllReduce(at::ones({10000}), ReduceOp::kMax)->Wait(); }},
      {"all-reduce #1 (sum of Int, 40000 bytes)",
       [](Communicator& c) { c.AllReduce(at::ones({10000}, at::kInt), ReduceOp::kSum)->Wait(); }},
      {"all-reduce #1 (sum of Float, 4 bytes)",
       [](Communicator& c) { c.AllReduce(at::ones({1}), ReduceOp::kSum)->Wait(); }},
      {"broadcast #1 (Float, 40000 bytes, root 0)",
       [](Communicator& c) { c.Broadcast(at::ones({10000}), 0)->Wait(); }},
      {"broadcast #1 (Float, 40000 bytes, root 1)",
       [](Communicator& c) { c.Broadcast(at::ones({10000}), 1)->Wait(); }},
      {"all-gather #1 (Float, 40000 bytes each)",
       [](Communicator& c) { c.AllGather(at::ones({20000}), at::ones({10000}))->Wait(); }},
      {"reduce-scatter #1 (sum of Float, 40000 bytes)",
       [](Communicator& c) {
         c.ReduceScatter(at::ones({10000}), at::ones({20000}), ReduceOp::kSum)->Wait();
       }},
      {"barrier #1", [](Communicator& c) { c.Barrier(); }},
      {"split #1", [](Communicator& c) { c.Split(0); }},
  };
  for (const auto& [first, run_first] : operations) {
    for (const auto& [second, run_second] : operations) {
      if (first == second) continue;
      const auto errors = ErrorsOf(2, kLong, [&](Communicator& comm) {
        comm.rank() == 0 ? run_first(comm) : run_second(comm);
      });
      EXPECT_THAT(errors[0],
                  AllOf(HasSubstr("rank 0 runs " + first), HasSubstr("rank 1 runs " + second)));
      EXPECT_THAT(errors[1],
                  AllOf(HasSubstr("rank 1 runs " + second), HasSubstr("rank 0 runs " + first)));
    }
  }
}

TEST(Mismatch, RankThatSkippedACollective_IsFoundAtTheNext) {
  const auto errors = ErrorsOf(3, kLong, [](Communicator& comm) {
    if (comm.rank() != 1) comm.AllReduce(at::ones({5}), ReduceOp::kSum)->Wait();
    comm.Barrier();
  });
  EXPECT_THAT(errors[0], HasSubstr("rank 1 runs barrier #1"));
  EXPECT_THAT(errors[2], HasSubstr("rank 1 runs barrier #1"));
  EXPECT_THAT(errors[1], HasSubstr("runs all-reduce #1"));
}

}  // namespace
}  // namespace flame
