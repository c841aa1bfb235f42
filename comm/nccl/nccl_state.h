// What an NcclCommunicator shares with its works: the NCCL handle and how to wait for it.
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

// What goes to the GPU together: one collective, or those of a group.
struct NcclLaunch {
  uint64_t key = 0;  // of the last one
  std::string operation;
  std::unique_ptr<GpuEvent> event;  // null: not gone yet
};

struct NcclState {
  // Collective; the handle is ready when it returns.
  NcclState(std::shared_ptr<Communicator> control, const NcclTable* nccl,
            std::shared_ptr<GpuQueue> queue, Communicator::Milliseconds timeout);
  // Finalises unless the handle was given up, or an exception is on its way.
  ~NcclState();

  // Polls until `done`, watching the handle for errors. On an error or past the deadline gives the
  // handle up (ncclCommAbort), writes the flight record and throws, naming `operation`, the ranks
  // that report no failure within a second, and those that were at another operation.
  void Await(uint64_t key, const std::string& operation, const std::function<bool()>& done);
  // `result` of a call: ncclInProgress is waited for, an error is thrown.
  void Complete(uint64_t key, const std::string& operation, ncclResult_t result);
  // Notes the call of a collective. Every kCompareEvery of them, ranks compare what they called,
  // for NCCL itself may take what does not fit together: one exchange of 8 bytes over `control`.
  // Throws as Await, naming the first call that differs.
  static constexpr size_t kCompareEvery = 64;
  void NoteCall(uint64_t key, const std::string& operation);

  std::shared_ptr<Communicator> control;
  const NcclTable* nccl;
  std::shared_ptr<GpuQueue> queue;
  Communicator::Milliseconds timeout;
  std::shared_ptr<FlightRecorder> recorder;
  ncclComm_t handle = nullptr;  // null: given up
  uint64_t num_collectives = 0;

 private:
  [[noreturn]] void Fail(uint64_t key, const std::string& operation, const std::string& why);
  // Of the others: what each was at when it failed, "" where nothing is heard within a second.
  std::vector<std::string> AskOthers(const std::string& operation);
  std::string TellOfOthers(uint64_t key, const std::string& operation);
  bool InProgress(uint64_t key, const std::string& operation);
  void CompareCalls(uint64_t key, const std::string& operation);
  // On the watchdog's thread: where nobody takes notice of an error within `timeout`, ends the job.
  void LookForErrors();

  std::vector<std::string> calls_;  // not compared yet
  std::mutex mutex_;                // of giving the handle up
  std::chrono::steady_clock::time_point error_seen_ = {};
  std::unique_ptr<WatchedState> watched_;  // last: it calls the others
};

}  // namespace flame

#endif  // FLAME_COMM_NCCL_NCCL_STATE_H_
