#include "base/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using ::testing::HasSubstr;
using Milliseconds = std::chrono::milliseconds;
using Stream = ChildProcess::Stream;

constexpr Milliseconds kLong = std::chrono::minutes(1);

ChildProcess::Options Shell(const std::string& command) {
  ChildProcess::Options options;
  options.words = {"sh", "-c", command};
  return options;
}

// No shell between, which would leave its own child behind when it is killed.
ChildProcess::Options Sleeper() {
  ChildProcess::Options options;
  options.words = {"sleep", "1000"};
  return options;
}

std::string ReadAll(int end) {
  std::string text;
  char block[256];
  for (ssize_t count; (count = read(end, block, sizeof block)) > 0;) text.append(block, count);
  return text;
}

// True once no process has this id, or only one that has ended and was not reaped.
bool IsGone(pid_t pid) {
  for (int i = 0; i < 30000; ++i) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string stat;
    std::getline(file, stat);
    const size_t name = stat.rfind(')');
    if (name == std::string::npos || stat.substr(name + 2, 1) == "Z") return true;
    std::this_thread::sleep_for(Milliseconds(2));
  }
  return false;
}

TEST(ChildProcess, ExitStatus_IsTold) {
  ChildProcess child(Shell("exit 7"));
  EXPECT_EQ(child.Ended(kLong), 7);
  EXPECT_EQ(child.Ended(), 7);
}

TEST(ChildProcess, Signal_Is128AndItsNumber) {
  ChildProcess child(Shell("kill -TERM $$"));
  EXPECT_EQ(child.Ended(kLong), 128 + SIGTERM);
}

TEST(ChildProcess, StillRunning_HasNoStatus) {
  ChildProcess child(Shell("read line"));
  EXPECT_NE(child.Ended(kLong), std::nullopt);  // its stdin is empty
  ChildProcess::Options options = Shell("read line; exit 3");
  options.in = Stream::kPipe;
  ChildProcess waiting(options);
  EXPECT_EQ(waiting.Ended(), std::nullopt);
  waiting.ClosePipes();
  EXPECT_EQ(waiting.Ended(kLong), 3);
}

TEST(ChildProcess, Pipes_CarryAllThreeStreams) {
  ChildProcess::Options options = Shell("read line; echo \"out $line\"; echo \"err $line\" >&2");
  options.in = options.out = options.err = Stream::kPipe;
  ChildProcess child(options);
  ASSERT_EQ(write(child.in(), "word\n", 5), 5);
  EXPECT_EQ(ReadAll(child.out()), "out word\n");
  EXPECT_EQ(ReadAll(child.err()), "err word\n");
}

TEST(ChildProcess, OutputToAFile_IsAppended) {
  TemporaryFolder folder;
  ChildProcess::Options options = Shell("echo one; echo two >&2");
  options.out = options.err = Stream::kFile;
  options.file = folder.path() / "log";
  EXPECT_EQ(ChildProcess(options).Ended(kLong), 0);
  EXPECT_EQ(ChildProcess(options).Ended(kLong), 0);
  EXPECT_EQ(ReadWholeFile(options.file), "one\ntwo\none\ntwo\n");
}

TEST(ChildProcess, Environment_ReplacesThisProcesses) {
  ChildProcess::Options options = Shell("echo \"$COLOR $HOME\"");
  options.words[0] = "/bin/sh";
  options.environment = {"COLOR=red"};
  options.out = Stream::kPipe;
  ChildProcess child(options);
  EXPECT_EQ(ReadAll(child.out()), "red \n");
}

TEST(ChildProcess, ProgramThatIsNotThere_IsNamed) {
  ChildProcess::Options options;
  options.words = {"no-such-program"};
  try {
    ChildProcess child(options);
    FAIL();
  } catch (const MachineError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no-such-program: No such file"));
  }
}

TEST(ChildProcess, GroupOfItsOwn_EndsWhole) {
  ChildProcess::Options options = Shell("sleep 1000 & echo $!; read line");
  options.in = options.out = Stream::kPipe;
  options.own_group = true;
  ChildProcess child(options);
  char text[32] = {};
  ASSERT_GT(read(child.out(), text, sizeof text - 1), 0);
  const pid_t grandchild = std::stoi(text);
  child.ClosePipes();
  EXPECT_TRUE(child.Ended(kLong).has_value());
  EXPECT_TRUE(IsGone(grandchild));
}

TEST(ChildProcess, Destructor_KillsAndReaps) {
  pid_t pid = 0;
  {
    ChildProcess child(Sleeper());
    pid = child.pid();
  }
  EXPECT_NE(kill(pid, 0), 0);
}

TEST(ChildProcess, DeathOfTheParent_KillsIt) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t parent = fork();
  if (parent == 0) {
    ChildProcess::Options options = Sleeper();
    options.dies_with_parent = true;
    const ChildProcess child(options);
    const pid_t pid = child.pid();
    (void)!write(ends[1], &pid, sizeof pid);
    kill(getpid(), SIGKILL);
  }
  pid_t grandchild = 0;
  ASSERT_EQ(read(ends[0], &grandchild, sizeof grandchild), sizeof grandchild);
  waitpid(parent, nullptr, 0);
  EXPECT_TRUE(IsGone(grandchild));
  close(ends[0]), close(ends[1]);
}

TEST(ChildProcess, Moved_IsOneChild) {
  ChildProcess first(Sleeper());
  const pid_t pid = first.pid();
  ChildProcess second(std::move(first));
  EXPECT_EQ(second.pid(), pid);
  second = ChildProcess(Shell("exit 2"));
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_EQ(second.Ended(kLong), 2);
}

TEST(AskProgram, Text_IsWhatItPrinted) {
  const auto limit = std::chrono::seconds(60);
  ProgramAnswer answer =
      AskProgram({"sh", "-c", "echo one; echo two >&2; exit 3"}, limit, Errors::kInText);
  EXPECT_EQ(answer.status, 3);
  EXPECT_EQ(answer.text, "one\ntwo");
  answer = AskProgram({"printf", "%s", "a b' c"}, limit, Errors::kOnStderr);
  EXPECT_EQ(answer.text, "a b' c");
}

TEST(AskProgram, ProgramThatIsNotThere_IsAnAnswer) {
  const ProgramAnswer answer =
      AskProgram({"no-such-program"}, std::chrono::seconds(60), Errors::kInText);
  EXPECT_EQ(answer.status, kNotStarted);
  EXPECT_THAT(answer.text, HasSubstr("no-such-program"));
}

TEST(AskProgram, OutOfTime_EndsItWithAllThatItStarted) {
  const ProgramAnswer answer = AskProgram({"sh", "-c", "echo begun; sleep 1000 & sleep 1000"},
                                          std::chrono::seconds(1), Errors::kInText);
  EXPECT_EQ(answer.status, kOutOfTime);
  EXPECT_EQ(answer.text, "begun");
}

}  // namespace
}  // namespace flame
