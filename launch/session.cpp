#include "launch/session.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "comm/mpi_communicator.h"
#include "comm/watchdog.h"

namespace flame {
namespace {

// Ranks that the launcher started on this machine; 1 where none did.
int LocalRanks() {
  for (const char* name : {"OMPI_COMM_WORLD_LOCAL_SIZE", "SLURM_NTASKS_PER_NODE"}) {
    const char* text = std::getenv(name);
    if (text != nullptr && std::atoi(text) > 0) return std::atoi(text);
  }
  return 1;
}

void SetThreads(int64_t configured) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  at::set_num_threads(configured > 0 ? static_cast<int>(configured)
                                     : std::max(1, cores / LocalRanks()));
}

}  // namespace

struct RankSession::Mpi {
  explicit Mpi(Communicator::Milliseconds timeout) : session(timeout) {}
  MpiSession session;
};

RankSession::RankSession(const Config& config) {
  InstallStopSignals();
  SetThreads(config.run.threads);
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  if (!LaunchedByMpi()) return;
  SetFlightFolder(config.run.dir);
  const auto timeout =
      Communicator::Milliseconds(static_cast<int64_t>(config.cluster.timeout * 1000));
  mpi_ = std::make_unique<Mpi>(timeout);
  world_ = mpi_->session.World();
  InitLogging(world_->rank() == 0 ? LogLevel::kInfo : LogLevel::kWarning, world_->rank());
}

RankSession::~RankSession() { world_.reset(); }

void RequireOneProcess(const char* command) {
  if (!LaunchedByMpi() || LocalRanks() == 1) return;
  throw UsageError("flame ", command,
                   " runs in one process; start it without mpirun. `flame sft` "
                   "and `flame grpo` are the commands that several ranks share");
}

}  // namespace flame
