// What an NcclCommunicator shares with its works: the NCCL handle and how to wait for it.
#ifndef FLAME_COMM_NCCL_NCCL_STATE_H_
#define FLAME_COMM_NCCL_NCCL_STATE_H_

#include <functional>
#include <memory>
#include <string>

#include "comm/communicator.h"
#include "comm/nccl/gpu_queue.h"
#include "comm/nccl/nccl_table.h"
#include "comm/watchdog.h"

namespace flame {

struct NcclState {
  // Collective; the handle is ready when it returns.
  NcclState(std::shared_ptr<Communicator> control, const NcclTable* nccl,
            std::shared_ptr<GpuQueue> queue, Communicator::Milliseconds timeout);
  // Finalises unless the handle was given up, or an exception is on its way.
  ~NcclState();

  // Polls until `done`, watching the handle for errors. On an error or past the deadline gives the
  // handle up (ncclCommAbort), writes the flight record and throws, naming `operation` and the
  // ranks that do not report the same within a second.
  void Await(uint64_t key, const std::string& operation, const std::function<bool()>& done);
  // `result` of a call: ncclInProgress is waited for, an error is thrown.
  void Complete(uint64_t key, const std::string& operation, ncclResult_t result);

  std::shared_ptr<Communicator> control;
  const NcclTable* nccl;
  std::shared_ptr<GpuQueue> queue;
  Communicator::Milliseconds timeout;
  std::shared_ptr<FlightRecorder> recorder;
  ncclComm_t handle = nullptr;  // null: given up
  uint64_t num_collectives = 0;

 private:
  [[noreturn]] void Fail(uint64_t key, const std::string& operation, const std::string& why);
  std::vector<int> SilentRanks();
  bool InProgress(uint64_t key, const std::string& operation);
};

}  // namespace flame

#endif  // FLAME_COMM_NCCL_NCCL_STATE_H_
