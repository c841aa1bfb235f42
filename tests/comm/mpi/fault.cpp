// A job in which the last rank misbehaves. Argument 1 says how, argument 2 is the folder of flight
// records. main() treats errors as the real program does.
#include <ATen/ops/ones.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/signals.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

void Misbehave(const std::string& fault, Communicator* world) {
  at::Tensor ones = at::ones({1000});
  if (fault == "silent") {
    for (;;) pause();
  } else if (fault == "exits") {
    std::exit(7);
  } else if (fault == "killed") {
    sleep(2);  // the others wait by then and can say for what
    raise(SIGKILL);
  } else if (fault == "throws") {
    throw DataError("the corpus of the last rank is corrupt");
  } else if (fault == "other-operation") {
    world->Broadcast(ones, 0)->Wait();
  } else if (fault == "other-size") {
    world->AllReduce(at::ones({999}), ReduceOp::kSum)->Wait();
  } else if (fault == "no-message") {
    world->Receive(0, 9);
  } else if (fault == "wedged") {
    // This wait never looks at its deadline, like a call that hangs in a library.
    const auto recorder = FlightRecorder::Make("wedged");
    const auto key = recorder->Start("library call", 3, 0);
    recorder->SetWaitsFor(key, {0});
    const WatchedWait watched(recorder, key, Communicator::Milliseconds(300));
    for (;;) pause();
  } else {
    throw UsageError("unknown fault '", fault, "'");
  }
}

void Run(const std::string& fault) {
  InstallStopSignals();
  // The session's timeout is long in the wedged job, so that only the watchdog's counts.
  MpiSession session(std::chrono::milliseconds(fault == "wedged" ? 60000 : 5000));
  const auto world = session.World();
  at::Tensor ones = at::ones({1000});
  world->AllReduce(ones, ReduceOp::kSum)->Wait();
  const bool last = world->rank() == world->size() - 1;
  if (last) Misbehave(fault, world.get());
  if (fault == "no-message") {
    for (;;) pause();
  }
  world->AllReduce(ones, ReduceOp::kSum)->Wait();
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  try {
    flame::SetFlightFolder(argv[2]);
    flame::Run(argv[1]);
  } catch (const flame::Error& error) {
    flame::AbortJob(static_cast<int>(error.status()), error.what());
  }
}
