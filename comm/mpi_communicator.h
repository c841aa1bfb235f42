// The MPI backend: one process a rank, CPU tensors.
#ifndef FLAME_COMM_MPI_COMMUNICATOR_H_
#define FLAME_COMM_MPI_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace flame {

class Engine;

// True under mpirun or srun, so that a program started by hand never initialises MPI.
bool LaunchedByMpi();

// False where srun started this process among ranks on several hosts and without
// SLURM_PMIX_FENCE=ring. The barrier at the end of MPI_Init may then hold no host back (in Slurm
// 22.05 where the job has fewer hosts than slurm.conf's TreeWidth, unless mpi.conf has
// PMIxCollFence=ring): a rank that has left MPI_Init sends to one still inside, which may end in a
// segmentation fault.
bool StartHasBarrier();

// In one line, such as "Open MPI v4.1.4, package: ...".
std::string MpiLibraryVersion();

// MPI from construction to destruction; one a process. Communicators must die before it. Left by an
// exception it does not finalise, which would wait for the other ranks: AbortJob() ends them.
class MpiSession {
 public:
  // `timeout`: what any one operation may wait, also that of finalising.
  explicit MpiSession(Communicator::Milliseconds timeout);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  // All ranks of the job; collective. Used by one thread at a time.
  std::unique_ptr<Communicator> World();

 private:
  Communicator::Milliseconds timeout_;
  std::shared_ptr<Engine> engine_;
};

}  // namespace flame

#endif  // FLAME_COMM_MPI_COMMUNICATOR_H_
