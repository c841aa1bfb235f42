// What a process sets up before a stage runs: signals, threads, ranks.
#ifndef FLAME_LAUNCH_SESSION_H_
#define FLAME_LAUNCH_SESSION_H_

#include <memory>

#include "comm/communicator.h"
#include "launch/config.h"

namespace flame {

// The ranks of the job: MPI's world under mpirun or srun, null in a process started alone.
class RankSession {
 public:
  explicit RankSession(const Config& config);
  ~RankSession();
  Communicator* world() const { return world_.get(); }
  bool first() const { return world_ == nullptr || world_->rank() == 0; }

 private:
  struct Mpi;
  std::unique_ptr<Mpi> mpi_;
  std::unique_ptr<Communicator> world_;
};

// Throws UsageError if the process was started with other ranks beside it.
void RequireOneProcess(const char* command);

}  // namespace flame

#endif  // FLAME_LAUNCH_SESSION_H_
