#include "base/log.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "base/files/atomic_file.h"
#include "base/progress.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

// Runs `action` in a child process whose stderr goes to a file, and returns that text.
template <class Action>
std::string StderrOf(const TemporaryFolder& folder, Action action) {
  const std::string path = (folder / "stderr").string();
  const pid_t child = fork();
  if (child == 0) {
    if (!freopen(path.c_str(), "w", stderr)) _exit(1);
    action();
    std::fflush(stderr);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  return ReadWholeFile(path);
}

TEST(Log, RankAndLevel_ShownAndLowerLevelsDropped) {
  const TemporaryFolder folder;
  const std::string text = StderrOf(folder, [] {
    InitLogging(LogLevel::kInfo, 3);
    LogLine(LogLevel::kDebug, "unseen");
    LogInfo("loss ", 0.5);
    LogError("disk full");
  });
  EXPECT_EQ(text, "[info rank 3] loss 0.5\n[error rank 3] disk full\n");
}

TEST(Log, NeverInitialised_StillWritesPlainLines) {
  const TemporaryFolder folder;
  EXPECT_EQ(StderrOf(folder, [] { LogWarning("early"); }), "[warning] early\n");
}

TEST(LogToFile, ExistingFile_AppendsWithTime) {
  const TemporaryFolder folder;
  WriteFileAtomically(folder / "run.log", "earlier\n");
  StderrOf(folder, [&] {
    InitLogging(LogLevel::kWarning, -1);
    LogToFile((folder / "run.log").string());
    LogDebug("nowhere");
    LogInfo("not on stderr");
    LogWarning("slow disk");
  });
  const std::string time = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d ";
  const std::regex expected("earlier\n" + time + "\\[info\\] not on stderr\n" + time +
                            "\\[warning\\] slow disk\n");
  const std::string text = ReadWholeFile(folder / "run.log");
  EXPECT_TRUE(std::regex_match(text, expected)) << text;
}

TEST(ParseLogLevel, Words_AreLevelsOrRefused) {
  EXPECT_EQ(ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(ParseLogLevel("error"), LogLevel::kError);
  EXPECT_THROW(ParseLogLevel("loud"), UsageError);
}

TEST(LogToFile, FolderAbsent_MachineErrorNamesIt) {
  const TemporaryFolder folder;
  EXPECT_THROW(LogToFile((folder / "absent/run.log").string()), MachineError);
}

TEST(Progress, TrainingWithoutTerminal_FirstStepAndEndAndEveryStepInTheFile) {
  const TemporaryFolder folder;
  const std::string text = StderrOf(folder, [&] {
    LogToFile((folder / "run.log").string());
    Progress progress("sft", 4, "step", 1);
    progress.Step("loss 0.52");
    progress.Step("loss 0.47");
    progress.Step("loss 0.42");
  });
  const std::regex expected(
      "\\[info\\] sft: 2/4 step, .* step/s, 0 s left, loss 0.52\n"
      "\\[info\\] sft: 4/4 step, .* step/s, took 0 s, loss 0.42\n");
  EXPECT_TRUE(std::regex_match(text, expected)) << text;
  const std::string file = ReadWholeFile(folder / "run.log");
  const std::regex lines(
      ".*sft: 2/4 step.*\n.*sft: 3/4 step.*\n.*sft: 4/4 step, .* left.*\n.*sft: 4/4 step, .* "
      "took.*\n");
  EXPECT_TRUE(std::regex_match(file, lines)) << file;
}

TEST(Progress, JsonForm_ObjectsOfNumbers) {
  const TemporaryFolder folder;
  const std::string text = StderrOf(folder, [] {
    SetProgressForm(ProgressForm::kJson);
    Progress progress("sft", 3, "step", 1);
    progress.Step("loss \"0.52\"");
    progress.Step("loss 0.42");
  });
  std::istringstream lines(text);
  std::string first, last, more;
  std::getline(lines, first);
  std::getline(lines, last);
  EXPECT_FALSE(std::getline(lines, more)) << more;
  const auto begin = nlohmann::json::parse(first), end = nlohmann::json::parse(last);
  EXPECT_EQ(begin.at("progress"), "sft");
  EXPECT_EQ(begin.at("done"), 2);
  EXPECT_EQ(begin.at("note"), "loss \"0.52\"");
  EXPECT_GT(begin.at("seconds_left"), 0);
  EXPECT_EQ(end.at("done"), 3);
  EXPECT_EQ(end.at("ended"), true);
  EXPECT_TRUE(end.at("seconds_left").is_null());
}

TEST(Progress, OtherLoopWithoutTerminal_LinesAreSecondsApart) {
  const TemporaryFolder folder;
  const std::string text = StderrOf(folder, [] {
    Progress progress("scores", 4, "visit");
    progress.Add(1);
    progress.Add(3);
  });
  const std::regex expected("\\[info\\] scores: 4/4 visit, .* visit/s, took 0 s\n");
  EXPECT_TRUE(std::regex_match(text, expected)) << text;
}

TEST(HumanDuration, EachScale_TwoUnits) {
  EXPECT_EQ(HumanDuration(0.4), "0 s");
  EXPECT_EQ(HumanDuration(59.6), "1 min 0 s");
  EXPECT_EQ(HumanDuration(200), "3 min 20 s");
  EXPECT_EQ(HumanDuration(3840), "1 h 04 min");
}

}  // namespace
}  // namespace flame
