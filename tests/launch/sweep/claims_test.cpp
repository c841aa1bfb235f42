#include "launch/sweep/claims.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using std::chrono::seconds;

Attempt Ended(int64_t number, const std::string& end, int status = 0) {
  Attempt attempt;
  attempt.number = number;
  attempt.end = end;
  attempt.status = status;
  return attempt;
}

TEST(SweepClaims, TwoProcessesRace_EachJobHasOneOwner) {
  constexpr int kJobs = 200;
  TemporaryFolder folder;
  pid_t children[2];
  for (pid_t& child : children) {
    child = fork();
    if (child != 0) continue;
    // Both start once the file `gate` exists; each writes down the jobs that it got.
    while (!std::filesystem::exists(folder / "gate")) {
    }
    SweepClaims claims(folder.path());
    std::ofstream got(folder / std::to_string(getpid()));
    for (int job = 0; job < kJobs; ++job) {
      if (claims.Claim(std::to_string(job), 1)) got << job << "\n";
    }
    got.close();
    _exit(0);
  }
  WriteFileAtomically(folder / "gate", "");
  std::vector<int> owners(kJobs);
  for (const pid_t child : children) {
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::ifstream got(folder / std::to_string(child));
    for (int job; got >> job;) ++owners[job];
  }
  for (const int owner : owners) EXPECT_EQ(owner, 1);
}

TEST(SweepClaims, TakenOver_TheFormerOwnerIsTold) {
  TemporaryFolder folder;
  SweepClaims claims(folder.path());
  auto former = claims.Claim("job", 1);
  ASSERT_TRUE(former);
  EXPECT_TRUE(claims.Write(&*former));
  auto heir = claims.Claim("job", 2);
  ASSERT_TRUE(heir);
  former->end = "done";
  EXPECT_FALSE(claims.Write(&*former));
  EXPECT_EQ(claims.AttemptsAt("job")[0].end, "");
  heir->end = "done";
  EXPECT_TRUE(claims.Write(&*heir));
  EXPECT_EQ(StateOf(claims.AttemptsAt("job"), 0), JobState::kDone);
}

TEST(SweepClaims, ClaimCutOffBeforeItsFirstBeat_IsAClaim) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "attempts" / "job");
  std::ofstream(folder / "attempts" / "job" / "1.json").close();
  const SweepClaims claims(folder.path());
  EXPECT_EQ(StateOf(claims.AttemptsAt("job"), 0), JobState::kRunning);
}

TEST(SweepClaims, AttemptThatIsNone_NamesTheFile) {
  TemporaryFolder folder;
  WriteFileAtomically(folder / "attempts" / "job" / "1.json", "{\"owner\": 3}");
  EXPECT_THROW(SweepClaims(folder.path()).AttemptsAt("job"), DataError);
}

TEST(StateOf, Attempts_WaitingRunningDoneOrFailed) {
  EXPECT_EQ(StateOf({}, 1), JobState::kWaiting);
  EXPECT_EQ(StateOf({Ended(1, "")}, 1), JobState::kRunning);
  EXPECT_EQ(StateOf({Ended(1, "stopped")}, 0), JobState::kWaiting);
  EXPECT_EQ(StateOf({Ended(1, "failed", 4)}, 1), JobState::kWaiting);
  EXPECT_EQ(StateOf({Ended(1, "failed", 4), Ended(2, "failed", 137)}, 1), JobState::kFailed);
  EXPECT_EQ(StateOf({Ended(1, "failed", 4), Ended(2, "done")}, 1), JobState::kDone);
}

TEST(StateOf, WorkerDied_IsAFailure) {
  EXPECT_EQ(StateOf({Ended(1, ""), Ended(2, "failed", 4)}, 2), JobState::kWaiting);
  EXPECT_EQ(StateOf({Ended(1, ""), Ended(2, "failed", 4)}, 1), JobState::kFailed);
  EXPECT_EQ(StateOf({Ended(1, ""), Ended(2, "")}, 0), JobState::kRunning);
}

TEST(StateOf, ConfigOrDataAtFault_NotRetried) {
  EXPECT_EQ(StateOf({Ended(1, "failed", 2)}, 5), JobState::kFailed);
  EXPECT_EQ(StateOf({Ended(1, "failed", 3)}, 5), JobState::kFailed);
}

TEST(SilenceWatch, SameBeatForLongerThanTheDeadline_Silent) {
  SilenceWatch watch(10);
  const SilenceWatch::Clock::time_point start{};
  Attempt attempt = Ended(1, "");
  EXPECT_FALSE(watch.IsSilent(attempt, start));
  EXPECT_FALSE(watch.IsSilent(attempt, start + seconds(10)));
  EXPECT_TRUE(watch.IsSilent(attempt, start + seconds(11)));
  attempt.beat = 1;
  EXPECT_FALSE(watch.IsSilent(attempt, start + seconds(12)));
  EXPECT_FALSE(watch.IsSilent(attempt, start + seconds(22)));
  attempt.number = 2;
  EXPECT_FALSE(watch.IsSilent(attempt, start + seconds(40)));
}

}  // namespace
}  // namespace flame
