// What a process sets up before a stage runs: signals, threads, ranks.
#ifndef FLAME_LAUNCH_RUN_SESSION_H_
#define FLAME_LAUNCH_RUN_SESSION_H_

#include <filesystem>
#include <memory>

#include "base/signals.h"
#include "comm/communicator.h"
#include "launch/run/config.h"

namespace flame {

// The ranks of the job (MPI's world under mpirun or srun, null in a process started alone) at work
// in one run folder.
class RankSession {
 public:
  // Rank 0 locks run.dir for the session; with `logs`, every rank logs to run.dir/logs too.
  // `by_role`: ranks that config.cluster makes reward ranks open no GPU. Throws MachineError naming
  // the process that holds the lock, or what model.device lacks (OpenDevice).
  explicit RankSession(const Config& config, bool logs = true, bool by_role = false);
  // Writes run.dir/trace.json where a timeline was asked for and no exception is under way.
  ~RankSession();
  Communicator* world() const { return world_.get(); }
  bool first() const { return world_ == nullptr || world_->rank() == 0; }
  // Throws UsageError if there are other ranks.
  void RequireOneProcess(const char* command) const;
  // Every rank logs to rank-N.log in `folder` from here on.
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

// True while a session of some process, on any host that shares the disk, holds run_dir's lock.
bool IsRunInUse(const std::filesystem::path& run_dir);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_SESSION_H_
