#include "base/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace flame {
namespace {

// Raises `signal` in a child process, because the flag cannot be cleared. Returns two bits: whether
// a stop was requested before the signal (2) and after it (1), or minus the signal that killed the
// child.
int FlagBeforeAndAfter(int signal) {
  const pid_t child = fork();
  if (child == 0) {
    InstallStopSignals();
    const int before = StopRequested();
    raise(signal);
    _exit(before * 2 + StopRequested());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(StopSignals, TerminateOrUser1_RequestsStop) {
  EXPECT_EQ(FlagBeforeAndAfter(SIGTERM), 1);
  EXPECT_EQ(FlagBeforeAndAfter(SIGUSR1), 1);
}

TEST(StopSignals, Interrupt_EndsTheProcessAsBefore) {
  EXPECT_EQ(FlagBeforeAndAfter(SIGINT), -SIGINT);
}

}  // namespace
}  // namespace flame
