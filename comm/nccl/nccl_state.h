// State that an NcclCommunicator shares with its works: the NCCL handle and how to wait for it.
#ifndef FLAME_COMM_NCCL_NCCL_STATE_H_
#define FLAME_COMM_NCCL_NCCL_STATE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "comm/nccl/gpu_queue.h"
#include "comm/nccl/nccl_table.h"
#include "comm/watchdog.h"

namespace flame {

// One launch on the GPU: a single collective, or those of a group.
struct NcclLaunch {
  uint64_t key = 0;  // flight recorder's key of the last collective
  std::string operation;
  std::unique_ptr<GpuEvent> event;  // null: not launched yet
};

struct NcclState {
  // Collective; the handle is ready when it returns.
  NcclState(std::shared_ptr<Communicator> control, const NcclTable* nccl,
            std::shared_ptr<GpuQueue> queue, Communicator::Milliseconds timeout);
  // Finalises NCCL, unless the handle was aborted or an exception is in flight.
  ~NcclState();

  // Polls until `done` returns true, watching the handle for errors. On an error or at the deadline
  // it aborts the handle (ncclCommAbort), writes the flight record and throws MachineError. The
  // error names `operation`, the ranks that report no failure within a second, and those that were
  // at another operation.
  void Await(uint64_t key, const std::string& operation, const std::function<bool()>& done);
  // Completes a call that returned `result`: waits if it is ncclInProgress, throws if it is an
  // error.
  void Complete(uint64_t key, const std::string& operation, ncclResult_t result);
  // Notes the call of a collective. After every kCompareEvery calls the ranks compare them, because
  // NCCL itself may accept calls that do not match; this exchanges 8 bytes over `control`. Throws
  // as Await does, naming the first call that differs.
  static constexpr size_t kCompareEvery = 64;
  void NoteCall(uint64_t key, const std::string& operation);

  std::shared_ptr<Communicator> control;
  const NcclTable* nccl;
  std::shared_ptr<GpuQueue> queue;
  Communicator::Milliseconds timeout;
  std::shared_ptr<FlightRecorder> recorder;
  ncclComm_t handle = nullptr;  // null: aborted
  uint64_t num_collectives = 0;

 private:
  [[noreturn]] void Fail(uint64_t key, const std::string& operation, const std::string& why);
  // Returns the operation at which each rank failed; "" for ranks not heard from within a second.
  std::vector<std::string> AskOthers(const std::string& operation);
  std::string TellOfOthers(uint64_t key, const std::string& operation);
  bool InProgress(uint64_t key, const std::string& operation);
  void CompareCalls(uint64_t key, const std::string& operation);
  // Runs on the watchdog's thread. Ends the job if nobody notices an error within `timeout`.
  void LookForErrors();

  std::vector<std::string> calls_;  // calls that are not compared yet
  std::mutex mutex_;                // guards the abort of the handle
  std::chrono::steady_clock::time_point error_seen_ = {};
  std::unique_ptr<WatchedState> watched_;  // last: its thread uses the other members
};

}  // namespace flame

#endif  // FLAME_COMM_NCCL_NCCL_STATE_H_
