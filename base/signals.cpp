#include "base/signals.h"

#include <signal.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace flame {
namespace {

volatile sig_atomic_t stop_requested = 0;

void OnStop(int) { stop_requested = 1; }

}  // namespace

void InstallStopSignals() {
  struct sigaction action = {};
  action.sa_handler = OnStop;
  action.sa_flags = SA_RESTART;  // a write under way is not cut short
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGUSR1}) {
    if (sigaction(signal, &action, nullptr) != 0) {
      throw MachineError("cannot handle signal ", signal, ": ", std::strerror(errno));
    }
  }
}

bool StopRequested() { return stop_requested != 0; }

}  // namespace flame
