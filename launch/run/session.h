// The set-up of a process before a stage runs: signals, threads, ranks.
#ifndef FLAME_LAUNCH_RUN_SESSION_H_
#define FLAME_LAUNCH_RUN_SESSION_H_

#include <filesystem>
#include <memory>

#include "base/signals.h"
#include "comm/communicator.h"
#include "launch/config/config.h"

namespace flame {

// The ranks of a job at work in one run folder. world() is MPI's world under mpirun or srun, and
// null in a process that was started alone.
class RankSession {
 public:
  // Rank 0 locks run.dir for the session. If `logs`, every rank also logs to run.dir/logs. If
  // `by_role`, ranks that config.cluster makes reward ranks open no GPU. Throws MachineError if
  // another process holds the lock, naming the process, UsageError if the ranks' configs differ in
  // any key but run.dir and run.threads, and both as OpenDevice does.
  explicit RankSession(const Config& config, bool logs = true, bool by_role = false);
  // Writes run.dir/trace.json if a timeline was requested and no exception is in flight.
  ~RankSession();
  Communicator* world() const { return world_.get(); }
  bool first() const { return world_ == nullptr || world_->rank() == 0; }
  // Throws UsageError if there are other ranks.
  void RequireOneProcess(const char* command) const;
  // Makes every rank log to rank-N.log in `folder` from now on.
  void LogTo(const std::filesystem::path& folder) const;

 private:
  void WriteTrace() const;

  class RunLock;
  struct Mpi;
  std::filesystem::path run_dir_;
  std::unique_ptr<Mpi> mpi_;
  std::unique_ptr<Communicator> world_;
  std::unique_ptr<RunLock> lock_;
};

// Returns true if a session of any process, on any host that shares the disk, holds the lock of
// `run_dir`.
bool IsRunInUse(const std::filesystem::path& run_dir);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_SESSION_H_
