// The MPI backend: one process a rank, CPU tensors.
#ifndef FLAME_COMM_MPI_COMMUNICATOR_H_
#define FLAME_COMM_MPI_COMMUNICATOR_H_

#include <memory>
#include <string>

#include "comm/communicator.h"

namespace flame {

class Engine;

// True under mpirun or srun. A program started by hand must not initialise MPI.
bool LaunchedByMpi();

// False if srun started this process among ranks on several hosts without SLURM_PMIX_FENCE=ring.
// The barrier at the end of MPI_Init may then hold no host back (in Slurm 22.05 if the job has
// fewer hosts than slurm.conf's TreeWidth, unless mpi.conf has PMIxCollFence=ring). A rank that has
// left MPI_Init then sends to one still inside, which may end in a segmentation fault.
bool StartHasBarrier();

// Returns one line such as "Open MPI v4.1.4, package: ...".
std::string MpiLibraryVersion();

// Starts MPI at construction and finalises it at destruction; one session a process. Communicators
// must be destroyed before it. A session destroyed by an exception does not finalise, because that
// would wait for the other ranks; AbortJob() ends them.
class MpiSession {
 public:
  // `timeout` limits the wait of every single operation, including finalising.
  explicit MpiSession(Communicator::Milliseconds timeout);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  // Makes a communicator of all ranks of the job. Collective. One thread at a time may use it.
  std::unique_ptr<Communicator> World();

 private:
  Communicator::Milliseconds timeout_;
  std::shared_ptr<Engine> engine_;
};

}  // namespace flame

#endif  // FLAME_COMM_MPI_COMMUNICATOR_H_
