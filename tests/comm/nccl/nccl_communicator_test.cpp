// Tests of NcclCommunicator over a table of fakes: the calls it makes to NCCL and its reaction to
// faults. The "GPU" holds CPU tensors; an event is done when the test says so.
#include "comm/nccl/nccl_communicator.h"

#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "comm/nccl/nccl_table.h"

namespace flame {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;

struct Fake {
  std::atomic<int> init_polls = 3;  // polls of a rank until init is done; -1: never done
  std::atomic<int> call_polls = 2;  // polls of a rank until a collective is done; -1: never done
  std::atomic<ncclResult_t> call_result = ncclInProgress;
  std::atomic<bool> events_done = true;
  std::atomic<ncclResult_t> async_error = ncclSuccess;
  std::atomic<int> num_aborted = 0, num_finalized = 0, num_destroyed = 0, num_enqueued = 0;
  std::mutex mutex;
  std::vector<std::string> ids, calls;
} * fake;

struct FakeHandle {
  std::atomic<int> polls_left;
};
FakeHandle* Of(ncclComm_t comm) { return reinterpret_cast<FakeHandle*>(comm); }

ncclResult_t GetUniqueId(ncclUniqueId* id) {
  for (size_t i = 0; i < sizeof id->internal; ++i) id->internal[i] = static_cast<char>(i * 7);
  return ncclSuccess;
}

ncclResult_t Init(ncclComm_t* comm, int size, ncclUniqueId id, int rank, ncclConfig_t* config) {
  EXPECT_EQ(config->blocking, 0);
  std::lock_guard lock(fake->mutex);
  fake->ids.push_back(std::string(id.internal, sizeof id.internal));
  *comm = reinterpret_cast<ncclComm_t>(new FakeHandle{fake->init_polls.load()});
  return ncclInProgress;
}

ncclResult_t GetAsyncError(ncclComm_t comm, ncclResult_t* result) {
  *result = fake->async_error;
  if (Of(comm)->polls_left != 0) {
    --Of(comm)->polls_left;
    *result = ncclInProgress;
  }
  return ncclSuccess;
}

ncclResult_t Abort(ncclComm_t) { return ++fake->num_aborted, ncclSuccess; }
ncclResult_t Finalize(ncclComm_t) { return ++fake->num_finalized, ncclSuccess; }
ncclResult_t Destroy(ncclComm_t) { return ++fake->num_destroyed, ncclSuccess; }
const char* ErrorString(ncclResult_t result) {
  return result == ncclRemoteError ? "remote process exited" : "other error";
}
const char* LastError(ncclComm_t) { return "socket closed"; }

ncclResult_t Called(ncclComm_t comm, const std::string& call) {
  std::lock_guard lock(fake->mutex);
  fake->calls.push_back(call);
  Of(comm)->polls_left = fake->call_polls.load();
  return fake->call_result;
}
ncclResult_t AllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                       ncclRedOp_t op, ncclComm_t comm, cudaStream_t) {
  return Called(comm, StrCat("AllReduce in place ", from == to, " count ", count, " type ", type,
                             " op ", op));
}
ncclResult_t Broadcast(const void* from, void* to, size_t count, ncclDataType_t type, int root,
                       ncclComm_t comm, cudaStream_t) {
  return Called(comm, StrCat("Broadcast in place ", from == to, " count ", count, " type ", type,
                             " root ", root));
}
ncclResult_t AllGather(const void*, void*, size_t count, ncclDataType_t type, ncclComm_t comm,
                       cudaStream_t) {
  return Called(comm, StrCat("AllGather count ", count, " type ", type));
}
ncclResult_t ReduceScatter(const void*, void*, size_t count, ncclDataType_t type, ncclRedOp_t op,
                           ncclComm_t comm, cudaStream_t) {
  return Called(comm, StrCat("ReduceScatter count ", count, " type ", type, " op ", op));
}

ncclResult_t GroupStart() {
  std::lock_guard lock(fake->mutex);
  fake->calls.push_back("GroupStart");
  return ncclSuccess;
}
ncclResult_t GroupEnd() {
  std::lock_guard lock(fake->mutex);
  fake->calls.push_back("GroupEnd");
  return fake->call_result;
}

const NcclTable kTable = {GetUniqueId, Init,          GetAsyncError, Finalize,  Destroy,
                          Abort,       ErrorString,   LastError,     AllReduce, Broadcast,
                          AllGather,   ReduceScatter, GroupStart,    GroupEnd};

class FakeEvent : public GpuEvent {
  bool Done() override { return fake->events_done; }
  void CurrentStreamWaits() override {}
};
class FakeQueue : public GpuQueue {
  bool Holds(const at::Tensor& tensor) const override { return tensor.is_cpu(); }
  CUstream_st* stream() const override { return nullptr; }
  void FollowCurrentStream() override { ++fake->num_enqueued; }
  std::unique_ptr<GpuEvent> Record() override { return std::make_unique<FakeEvent>(); }
};

class NcclTest : public testing::Test {
 protected:
  void SetUp() override { fake = &fake_; }

  // Returns the text of each rank's MachineError, "" without one.
  std::vector<std::string> RunRanks(int size, const std::function<void(Communicator&)>& body) {
    auto group = MakeLocalGroup(size, milliseconds(5000));
    std::vector<std::string> errors(size);
    std::vector<std::thread> threads;
    for (int r = 0; r < size; ++r) {
      threads.emplace_back([&, r, control = std::shared_ptr<Communicator>(std::move(group[r]))] {
        try {
          NcclCommunicator comm(control, &kTable, std::make_shared<FakeQueue>(), milliseconds(100));
          body(comm);
        } catch (const MachineError& error) {
          errors[r] = error.what();
        }
      });
    }
    for (auto& thread : threads) thread.join();
    return errors;
  }

  Fake fake_;
};

TEST_F(NcclTest, Init_EveryRankHasRankZerosIdAndIsFinalizedAtTheEnd) {
  const auto errors = RunRanks(3, [](Communicator& comm) {
    EXPECT_EQ(comm.size(), 3);
    EXPECT_EQ(comm.name(), "nccl over local");
  });
  EXPECT_EQ(errors, std::vector<std::string>(3));
  ASSERT_EQ(fake_.ids.size(), 3u);
  for (const auto& id : fake_.ids) EXPECT_EQ(id[5], 35);
  EXPECT_EQ(fake_.num_finalized, 3);
  EXPECT_EQ(fake_.num_destroyed, 3);
  EXPECT_EQ(fake_.num_aborted, 0);
}

TEST_F(NcclTest, Collectives_PassElementCountsTypesAndOperators) {
  const auto errors = RunRanks(1, [](Communicator& comm) {
    comm.AllReduce(at::ones({6}, at::kBFloat16), ReduceOp::kMax)->Wait();
    comm.Broadcast(at::ones({2, 2}, at::kLong), 0)->Wait();
    comm.AllGather(at::ones({5}), at::ones({5}))->Wait();
    comm.ReduceScatter(at::ones({4}, at::kDouble), at::ones({4}, at::kDouble), ReduceOp::kSum)
        ->Wait();
    comm.AllReduce(at::ones({0}), ReduceOp::kSum)->Wait();  // empty, so NCCL is not called
  });
  EXPECT_EQ(errors[0], "");
  EXPECT_EQ(fake_.calls,
            (std::vector<std::string>{
                StrCat("AllReduce in place 1 count 6 type ", ncclBfloat16, " op ", ncclMax),
                StrCat("Broadcast in place 1 count 4 type ", ncclInt64, " root 0"),
                StrCat("AllGather count 5 type ", ncclFloat32),
                StrCat("ReduceScatter count 4 type ", ncclFloat64, " op ", ncclSum)}));
  EXPECT_EQ(fake_.num_enqueued, 5);
}

TEST_F(NcclTest, InitThatNeverEnds_IsAbortedAtTheDeadline) {
  fake_.init_polls = -1;
  const auto errors = RunRanks(2, [](Communicator&) { FAIL() << "made"; });
  EXPECT_EQ(errors[0],
            "rank 0: init on 'nccl over local' did not end within 0.1 s; every other "
            "rank reports a failure too");
  EXPECT_EQ(fake_.num_aborted, 2);
  EXPECT_EQ(fake_.num_destroyed, 0);
}

TEST_F(NcclTest, CallThatStaysInProgress_IsAbortedAtTheDeadline) {
  fake_.call_polls = -1;
  const auto errors =
      RunRanks(1, [](Communicator& comm) { comm.AllReduce(at::ones({6}), ReduceOp::kSum); });
  EXPECT_THAT(errors[0],
              HasSubstr("all-reduce #1 (sum of Float, 24 bytes) on 'nccl over local' did not end"));
  EXPECT_EQ(fake_.num_aborted, 1);
}

TEST_F(NcclTest, RankThatStopsAnswering_IsNamedAndTheCollectiveAborted) {
  fake_.events_done = false;
  const auto errors = RunRanks(3, [](Communicator& comm) {
    auto work = comm.AllReduce(at::ones({6}), ReduceOp::kSum);
    EXPECT_FALSE(work->Done());
    if (comm.rank() == 1) return std::this_thread::sleep_for(milliseconds(2000));
    work->Wait();
  });
  EXPECT_THAT(errors[0], AllOf(HasSubstr("rank 0: all-reduce #1 (sum of Float, 24 bytes)"),
                               HasSubstr("did not end within 0.1 s; nothing heard from rank 1")));
  EXPECT_THAT(errors[2], HasSubstr("nothing heard from rank 1"));
  EXPECT_EQ(fake_.num_aborted, 2);
}

TEST_F(NcclTest, AsyncErrorWhileWaiting_IsThrownWithNcclsWords) {
  fake_.events_done = false;
  const auto errors = RunRanks(1, [this](Communicator& comm) {
    auto work = comm.AllReduce(at::ones({6}), ReduceOp::kSum);
    fake_.async_error = ncclRemoteError;
    work->Wait();
  });
  EXPECT_THAT(
      errors[0],
      HasSubstr("all-reduce #1 (sum of Float, 24 bytes) on 'nccl over local' failed: remote "
                "process exited: socket closed"));
  EXPECT_EQ(fake_.num_aborted, 1);
}

TEST_F(NcclTest, AsyncErrorThatNobodyWaitsFor_EndsTheJob) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(RunRanks(1,
                       [this](Communicator&) {
                         fake_.async_error = ncclRemoteError;
                         std::this_thread::sleep_for(milliseconds(5000));
                       }),
              testing::ExitedWithCode(4),
              "'nccl over local' failed: remote process exited: socket closed; nothing has waited");
}

TEST_F(NcclTest, RanksThatHangInDifferentCalls_NameBoth) {
  fake_.events_done = false;
  const auto errors = RunRanks(2, [](Communicator& comm) {
    if (comm.rank() == 0) {
      comm.AllReduce(at::ones({6}), ReduceOp::kSum)->Wait();
    } else {
      comm.Broadcast(at::ones({6}), 1)->Wait();
    }
  });
  EXPECT_THAT(errors[0],
              AllOf(HasSubstr("rank 0: all-reduce #1 (sum of Float, 24 bytes)"),
                    HasSubstr("; rank 1 is at broadcast #1 (Float of rank 1, 24 bytes)")));
  EXPECT_THAT(errors[1], HasSubstr("; rank 0 is at all-reduce #1 (sum of Float, 24 bytes)"));
}

// NCCL may accept calls that do not match, and return meaningless numbers.
TEST_F(NcclTest, CallsThatDiffer_AreFoundWithinASeries) {
  const auto errors = RunRanks(3, [](Communicator& comm) {
    for (int i = 1; i <= 64; ++i) {
      const int64_t size = i == 7 && comm.rank() == 1 ? 5 : 6;
      comm.AllReduce(at::ones({size}), ReduceOp::kSum)->Wait();
    }
    ADD_FAILURE() << "not found";
  });
  EXPECT_THAT(errors[1], AllOf(HasSubstr("rank 1: all-reduce #7 (sum of Float, 20 bytes) on"),
                               HasSubstr("where rank 0 has all-reduce #7 (sum of Float, 24 bytes); "
                                         "ranks must call the same")));
  for (const int other : {0, 2}) {
    EXPECT_THAT(errors[other],
                AllOf(HasSubstr("was not the same on all ranks"),
                      HasSubstr("rank 1 is at all-reduce #7 (sum of Float, 20 bytes)")));
  }
}

TEST_F(NcclTest, Group_GoesOutAsOne) {
  const auto errors = RunRanks(1, [](Communicator& comm) {
    comm.BeginGroup();
    const auto first = comm.AllReduce(at::ones({6}), ReduceOp::kSum);
    const auto second = comm.AllGather(at::ones({5}), at::ones({5}));
    EXPECT_FALSE(first->Done());
    EXPECT_THROW(second->Wait(), std::logic_error);
    comm.EndGroup();
    first->Wait();
    second->Wait();
  });
  EXPECT_EQ(errors[0], "");
  ASSERT_EQ(fake_.calls.size(), 4u);
  EXPECT_EQ(fake_.calls.front(), "GroupStart");
  EXPECT_EQ(fake_.calls.back(), "GroupEnd");
}

TEST_F(NcclTest, CallThatFails_IsThrownAndLaterCallsAreRefused) {
  fake_.call_result = ncclInvalidArgument;
  const auto errors = RunRanks(1, [](Communicator& comm) {
    EXPECT_THROW(comm.AllReduce(at::ones({6}), ReduceOp::kSum), MachineError);
    comm.AllReduce(at::ones({6}), ReduceOp::kSum);
  });
  EXPECT_THAT(
      errors[0],
      HasSubstr("all-reduce #2 (sum of Float, 24 bytes) on 'nccl over local' after an earlier "
                "operation on it had failed"));
  EXPECT_EQ(fake_.calls.size(), 1u);
  EXPECT_EQ(fake_.num_aborted, 1);
  EXPECT_EQ(fake_.num_destroyed, 0);
}

TEST_F(NcclTest, MessagesAndBarrier_TravelOverTheControl) {
  const auto errors = RunRanks(2, [](Communicator& comm) {
    comm.Barrier();
    comm.Send("hello", 1 - comm.rank(), 4);
    EXPECT_EQ(comm.Receive(1 - comm.rank(), 4).bytes, "hello");
    auto alone = comm.Split(comm.rank());
    EXPECT_EQ(alone->size(), 1);
    alone->AllReduce(at::ones({2}), ReduceOp::kSum)->Wait();
  });
  EXPECT_EQ(errors, std::vector<std::string>(2));
}

TEST_F(NcclTest, TensorsThatDoNotFit_AreRefusedBeforeNcclIsAsked) {
  const auto errors = RunRanks(2, [](Communicator& comm) {
    EXPECT_THROW(comm.AllReduce(at::Tensor(), ReduceOp::kSum), MachineError);
    EXPECT_THROW(comm.AllReduce(at::ones({2}, at::kChar), ReduceOp::kSum), MachineError);
    EXPECT_THROW(comm.AllGather(at::ones({3}), at::ones({2})), MachineError);
    EXPECT_THROW(comm.Broadcast(at::ones({3}), 2), MachineError);
  });
  EXPECT_EQ(errors, std::vector<std::string>(2));
  EXPECT_TRUE(fake_.calls.empty());
}

}  // namespace
}  // namespace flame
