#include "base/signals.h"

#include <signal.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace flame {
namespace {

volatile sig_atomic_t stop_requested = 0;

void OnStop(int) { stop_requested = 1; }

void Install(int number) {
  struct sigaction action = {};
  action.sa_handler = OnStop;
  action.sa_flags = SA_RESTART;  // a write under way is not cut short
  sigemptyset(&action.sa_mask);
  if (sigaction(number, &action, nullptr) != 0) {
    throw MachineError("cannot handle signal ", number, ": ", std::strerror(errno));
  }
}

}  // namespace

void InstallStopSignals() {
  // A write beyond `ulimit -f` then fails with EFBIG, which is told with the file's name.
  signal(SIGXFSZ, SIG_IGN);
  for (const int number : {SIGTERM, SIGUSR1}) Install(number);
}

void InstallInterruptAsStop() { Install(SIGINT); }

bool StopRequested() { return stop_requested != 0; }

void StopIfRequested(bool requested) {
  if (requested) throw Stopped("stopped on a signal; the same command goes on from here");
}

}  // namespace flame
