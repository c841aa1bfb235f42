#include "comm/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "base/files/atomic_file.h"
#include "comm/local_communicator.h"

namespace flame {
namespace {

using std::chrono::milliseconds;

TEST(FlightRecorder, MoreThanItsCapacity_KeepsTheLast) {
  FlightRecorder recorder("test");
  const uint64_t first = recorder.Start("barrier", 1, 0);
  for (uint64_t n = 2; n <= 100; ++n) recorder.Start("barrier", n, 10 * n);
  recorder.Finish(first);  // overwritten: must not touch its successor
  const auto entries = recorder.Entries();
  ASSERT_EQ(entries.size(), 64u);
  for (size_t i = 0; i < entries.size(); ++i) {
    EXPECT_EQ(entries[i].sequence, 37 + i);
    EXPECT_EQ(entries[i].num_bytes, 10 * (37 + i));
    EXPECT_LT(entries[i].finished, 0);
  }
}

TEST(FlightRecorder, FinishedOperation_HasBothTimesAndWaitsForNobody) {
  FlightRecorder recorder("test");
  const uint64_t key = recorder.Start("all-reduce", 1, 4);
  recorder.SetWaitsFor(key, {2, 5});
  EXPECT_EQ(recorder.Entry(key).waits_for, (std::vector<int>{2, 5}));
  recorder.Finish(key);
  EXPECT_GE(recorder.Entry(key).finished, recorder.Entry(key).started);
  EXPECT_TRUE(recorder.Entry(key).waits_for.empty());
}

std::filesystem::path FreshFolder() {
  const auto folder =
      std::filesystem::temp_directory_path() / ("flame-watchdog-" + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  return folder;
}

TEST(FlightRecord, Written_IsJsonOfEveryLiveCommunicator) {
  const auto folder = FreshFolder();
  SetFlightFolder(folder);
  const auto comm = std::move(MakeLocalGroup(1)[0]);
  comm->Barrier();
  const auto dead = FlightRecorder::Make("dead");
  std::weak_ptr<FlightRecorder> gone = FlightRecorder::Make("gone");
  WriteFlightRecord();
  SetFlightFolder("");
  const auto record = nlohmann::json::parse(ReadWholeFile(folder / "flight-rank-0.json"));
  EXPECT_EQ(record["rank"], 0);
  std::vector<std::string> names;
  for (const auto& one : record["communicators"]) {
    names.push_back(one["name"]);
    if (one["name"] != "local") continue;
    ASSERT_EQ(one["operations"].size(), 1u);
    EXPECT_EQ(one["operations"][0]["operation"], "barrier");
    EXPECT_EQ(one["operations"][0]["sequence"], 1);
    EXPECT_GE(one["operations"][0]["finished"], one["operations"][0]["started"]);
  }
  EXPECT_THAT(names, testing::UnorderedElementsAre("local", "dead"));
  std::filesystem::remove_all(folder);
}

// Waits for the record, says so on stderr and removes it.
void ReportRecord(const std::filesystem::path& folder) {
  while (!std::filesystem::exists(folder / "flight-rank-0.json")) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  fprintf(stderr, "record written\n");
  std::filesystem::remove_all(folder);
}

[[noreturn]] void WaitForEver() {
  const auto folder = FreshFolder();
  SetFlightFolder(folder);
  std::thread(ReportRecord, folder).detach();
  const auto recorder = FlightRecorder::Make("wedged");
  const uint64_t key = recorder->Start("all-gather", 12, 0);
  recorder->SetWaitsFor(key, {3, 4});
  const WatchedWait watched(recorder, key, milliseconds(200));
  for (;;) pause();
}

class WatchdogDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

TEST_F(WatchdogDeathTest, WaitThatNeverReturns_EndsTheProcessWithStatus4AndARecord) {
  EXPECT_EXIT(
      WaitForEver(), testing::ExitedWithCode(4),
      "record written\n.*flame: all-gather #12 on 'wedged' was not answered within 0.2 s by "
      "ranks 3, 4 and does not return");
}

TEST_F(WatchdogDeathTest, WaitThatReturnsInTime_IsLeftAlone) {
  EXPECT_EXIT(
      {
        const auto recorder = FlightRecorder::Make("fine");
        for (int i = 0; i < 3; ++i) {
          const WatchedWait watched(recorder, recorder->Start("barrier", i, 0), milliseconds(5000));
        }
        std::this_thread::sleep_for(milliseconds(300));
        _exit(0);
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(WatchdogDeathTest, AbortJob_AloneExitsWithStatusAndReason) {
  EXPECT_EXIT(AbortJob(3, "a corpus is missing"), testing::ExitedWithCode(3),
              "^flame: a corpus is missing\n$");
}

TEST(RankLists, OneManyNone_ReadAsText) {
  EXPECT_EQ(RankList({2}), "rank 2");
  EXPECT_EQ(RankList({2, 5}), "ranks 2, 5");
  EXPECT_EQ(RankList({}), "an unknown rank");
}

TEST(RankLists, RanksOnSeveralHosts_NameTheirHosts) {
  SetHosts({"node7", "node7", "node8"});
  EXPECT_EQ(RankName(2), "rank 2 (node8)");
  EXPECT_EQ(RankList({0, 2}), "ranks 0 (node7), 2 (node8)");
  EXPECT_EQ(RankName(3), "rank 3");  // not a rank of this job
  SetHosts({"node7", "node7"});
  EXPECT_EQ(RankName(1), "rank 1");
}

}  // namespace
}  // namespace flame
