// Tests of jobs of three ranks in which rank 2 misbehaves. They must end by themselves, with the
// right status and a line that names rank, operation and sequence number.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/files/atomic_file.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

struct Ended {
  int status = -1;
  std::string output;
};

class FaultTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("flame-fault-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // `timeout` ends a job that hangs, with status 124.
  Ended RunJob(const std::string& fault) {
    const std::string command = std::string("timeout 60 ") + FLAME_MPIRUN + " -np 3 " +
                                FLAME_FAULT_PROGRAM + " " + fault + " " + folder_.string() +
                                " 2>&1";
    Ended ended;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
      ended.output.append(buffer.data(), count);
    }
    const int status = pclose(pipe);
    ended.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return ended;
  }

  std::filesystem::path folder_;
};

TEST_F(FaultTest, SilentRank_OthersNameItAndEndTheJob) {
  const Ended ended = RunJob("silent");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output, AnyOf(HasSubstr("flame: rank 0: all-reduce #2"),
                                  HasSubstr("flame: rank 1: all-reduce #2")));
  EXPECT_THAT(ended.output, HasSubstr("was not answered within 5 s by rank 2\n"));
}

TEST_F(FaultTest, SilentRank_FlightRecordShowsTheOpenOperation) {
  RunJob("silent");
  const std::string file = std::filesystem::exists(folder_ / "flight-rank-0.json")
                               ? "flight-rank-0.json"
                               : "flight-rank-1.json";
  const auto record = nlohmann::json::parse(ReadWholeFile(folder_ / file));
  EXPECT_EQ(record["world_size"], 3);
  bool found = false;
  for (const auto& communicator : record["communicators"]) {
    if (communicator["name"] != "mpi world") continue;
    const auto& operations = communicator["operations"];
    ASSERT_EQ(operations.size(), 2u);
    EXPECT_TRUE(operations[0]["finished"].is_number());
    EXPECT_EQ(operations[1]["operation"], "all-reduce");
    EXPECT_EQ(operations[1]["sequence"], 2);
    EXPECT_EQ(operations[1]["bytes"], 4000);
    EXPECT_TRUE(operations[1]["finished"].is_null());
    EXPECT_EQ(operations[1]["waits_for"], nlohmann::json({2}));
    found = true;
  }
  EXPECT_TRUE(found) << record;
}

TEST_F(FaultTest, RankExits_ItSaysBehindWhichOperationAndEndsTheJob) {
  const Ended ended = RunJob("exits");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output,
              HasSubstr("flame: rank 2: the process exits in the middle of the job, its last "
                        "operation all-reduce #1 (4000 bytes) on 'mpi world'"));
}

// mpirun sets the status of a job whose rank was killed.
TEST_F(FaultTest, RankIsKilled_OthersSayWhatTheyWaitFor) {
  const Ended ended = RunJob("killed");
  EXPECT_EQ(ended.status, 128 + 9) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("all-reduce #2 (4000 bytes) on 'mpi world' still waits "
                                            "for rank 2"),
                                  HasSubstr("exited on signal 9")));
}

TEST_F(FaultTest, RankThrows_JobEndsWithThatErrorsStatus) {
  const Ended ended = RunJob("throws");
  EXPECT_EQ(ended.status, 3) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("flame: rank 2: the corpus of the last rank is corrupt"));
}

TEST_F(FaultTest, RankRunsAnotherOperation_BothAreNamed) {
  const Ended ended = RunJob("other-operation");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output,
              AllOf(HasSubstr("must call the same collectives in the same order on 'mpi world'"),
                    HasSubstr("all-reduce #2 (sum of Float, 4000 bytes)"),
                    HasSubstr("rank 2 runs broadcast #2 (Float, 4000 bytes, root 0)")));
}

TEST_F(FaultTest, RankHasAnotherSize_BothAreNamed) {
  const Ended ended = RunJob("other-size");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("(sum of Float, 4000 bytes)"),
                                  HasSubstr("(sum of Float, 3996 bytes)")));
}

TEST_F(FaultTest, MessageNeverComes_ReceiverNamesTheSender) {
  const Ended ended = RunJob("no-message");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("rank 2: receive #1 of tag 9 on 'mpi world' was not "
                                      "answered within 5 s by rank 0"));
}

TEST_F(FaultTest, WedgedInALibrary_WatchdogEndsTheJob) {
  const Ended ended = RunJob("wedged");
  EXPECT_EQ(ended.status, 4) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("flame: rank 2: library call #3 on 'wedged' was not answered "
                                      "within 0.3 s by rank 0 and does not return"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "flight-rank-2.json"));
}

}  // namespace
}  // namespace flame
