#include "comm/nccl/nccl_state.h"

#include <ATen/ops/empty.h>
#include <sched.h>

#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kTroubleTag = (1 << 20) - 1;  // of the messages by which ranks tell of a failure
constexpr auto kTroubleTime = 1s;

// Rank 0's id, on every rank.
ncclUniqueId ShareId(Communicator* control, const NcclTable& nccl) {
  ncclUniqueId id = {};
  if (control->rank() == 0) {
    const ncclResult_t result = nccl.GetUniqueId(&id);
    if (result != ncclSuccess) {
      throw MachineError("ncclGetUniqueId failed: ", nccl.GetErrorString(result));
    }
  }
  at::Tensor bytes = at::empty({sizeof id.internal}, at::kByte);
  std::memcpy(bytes.data_ptr(), id.internal, sizeof id.internal);
  control->Broadcast(bytes, 0)->Wait();
  std::memcpy(id.internal, bytes.data_ptr(), sizeof id.internal);
  return id;
}

}  // namespace

NcclState::NcclState(std::shared_ptr<Communicator> control_communicator,
                     const NcclTable* nccl_table, std::shared_ptr<GpuQueue> gpu_queue,
                     Communicator::Milliseconds wait)
    : control(std::move(control_communicator)),
      nccl(nccl_table),
      queue(std::move(gpu_queue)),
      timeout(wait),
      recorder(FlightRecorder::Make(StrCat("nccl over ", control->name()))) {
  const ncclUniqueId id = ShareId(control.get(), *nccl);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;  // so that a rank that never comes is seen
  const uint64_t key = recorder->Start("init", 0, 0);
  Complete(key, "init",
           nccl->CommInitRankConfig(&handle, control->size(), id, control->rank(), &config));
  recorder->Finish(key);
}

NcclState::~NcclState() {
  if (!handle || std::uncaught_exceptions() > 0) return;
  try {
    const uint64_t key = recorder->Start("finalize", num_collectives, 0);
    Complete(key, "finalize", nccl->CommFinalize(handle));
    nccl->CommDestroy(handle);
  } catch (const MachineError& error) {
    LogError(error.what());
  }
}

void NcclState::Await(uint64_t key, const std::string& operation,
                      const std::function<bool()>& done) {
  if (!handle) {
    throw MachineError(operation, " on '", recorder->communicator(),
                       "' after an earlier operation on it had failed");
  }
  const auto start = Clock::now();
  const WatchedWait watched(recorder, key, timeout + kTroubleTime);
  while (!done()) {
    const auto waited = Clock::now() - start;
    if (waited >= timeout) {
      Fail(key, operation, StrCat("did not end within ", timeout.count() / 1000.0, " s"));
    }
    InProgress(key, operation);
    if (waited < 200us) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(waited < 1s ? 20us : 500us);
    }
  }
}

void NcclState::Complete(uint64_t key, const std::string& operation, ncclResult_t result) {
  if (result != ncclSuccess && result != ncclInProgress) {
    Fail(key, operation,
         StrCat("failed: ", nccl->GetErrorString(result), ": ", nccl->GetLastError(handle)));
  }
  Await(key, operation, [&] { return !InProgress(key, operation); });
}

// Whether a call on the handle is still being worked on; throws the handle's error.
bool NcclState::InProgress(uint64_t key, const std::string& operation) {
  ncclResult_t result = ncclSuccess;
  const ncclResult_t asked = nccl->CommGetAsyncError(handle, &result);
  if (asked != ncclSuccess) result = asked;
  if (result == ncclInProgress) return true;
  if (result == ncclSuccess) return false;
  Fail(key, operation,
       StrCat("failed: ", nccl->GetErrorString(result), ": ", nccl->GetLastError(handle)));
}

void NcclState::Fail(uint64_t key, const std::string& operation, const std::string& why) {
  // Kernels that wait for a peer would keep the GPU, and this process, for ever.
  if (handle) nccl->CommAbort(std::exchange(handle, nullptr));
  std::vector<int> silent = SilentRanks();
  for (int& rank : silent) rank = control->WorldRank(rank);
  recorder->SetWaitsFor(key, silent);
  WriteFlightRecord();
  const std::string others = control->size() == 1 ? ""
                             : silent.empty()     ? "; every other rank reports a failure too"
                                                  : "; nothing heard of " + RankList(silent);
  throw MachineError(RankName(control->WorldRank(control->rank())), ": ", operation, " on '",
                     recorder->communicator(), "' ", why, others);
}

std::vector<int> NcclState::SilentRanks() {
  std::vector<int> silent;
  for (int r = 0; r < control->size(); ++r) {
    if (r != control->rank()) control->Send("trouble", r, kTroubleTag);
  }
  const auto end = Clock::now() + kTroubleTime;
  for (int r = 0; r < control->size(); ++r) {
    if (r == control->rank()) continue;
    Message message;
    const auto left = std::chrono::duration_cast<Communicator::Milliseconds>(end - Clock::now());
    if (!control->TryReceive(r, kTroubleTag, std::max(left, 0ms), &message)) silent.push_back(r);
  }
  return silent;
}

}  // namespace flame
