#include "comm/nccl/nccl_state.h"

#include <ATen/ops/empty.h>
#include <sched.h>

#include <cstring>
#include <exception>
#include <functional>
#include <sstream>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kTroubleTag = (1 << 20) - 1;  // tag of the messages that report a failure
constexpr int kCallsTag = kTroubleTag - 1;  // tag of the messages that hold a rank's calls
constexpr auto kTroubleTime = 1s;
constexpr char kNotAlike[] = "ends a series of calls that was not the same on all ranks";

// Returns rank 0's id on every rank.
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
  config.blocking = 0;  // so that a rank that never arrives is noticed
  const uint64_t key = recorder->Start("init", 0, 0);
  Complete(key, "init",
           nccl->CommInitRankConfig(&handle, control->size(), id, control->rank(), &config));
  recorder->Finish(key);
  watched_ = std::make_unique<WatchedState>([this] { LookForErrors(); });
}

NcclState::~NcclState() {
  watched_.reset();
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

// True while a call on the handle is in progress. Throws the handle's error.
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
  {
    std::lock_guard lock(mutex_);
    // Without this, kernels that wait for a peer would hold the GPU and this process forever.
    if (handle) nccl->CommAbort(std::exchange(handle, nullptr));
  }
  const std::string others = TellOfOthers(key, operation);
  WriteFlightRecord();
  throw MachineError(RankName(control->WorldRank(control->rank())), ": ", operation, " on '",
                     recorder->communicator(), "' ", why, others);
}

std::string NcclState::TellOfOthers(uint64_t key, const std::string& operation) {
  if (control->size() == 1) return "";
  const std::vector<std::string> others = AskOthers(operation);
  std::vector<int> silent;
  std::string elsewhere;
  for (int r = 0; r < control->size(); ++r) {
    const int rank = control->WorldRank(r);
    if (others[r].empty()) silent.push_back(rank);
    if (others[r].empty() || others[r] == operation) continue;
    elsewhere += StrCat("; ", RankName(rank), " is at ", others[r]);
  }
  recorder->SetWaitsFor(key, silent);
  if (!silent.empty()) return "; nothing heard from " + RankList(silent) + elsewhere;
  return elsewhere.empty() ? "; every other rank reports a failure too" : elsewhere;
}

std::vector<std::string> NcclState::AskOthers(const std::string& operation) {
  std::vector<std::string> found(control->size());
  found[control->rank()] = operation;
  for (int r = 0; r < control->size(); ++r) {
    if (r != control->rank()) control->Send(operation, r, kTroubleTag);
  }
  const auto end = Clock::now() + kTroubleTime;
  for (int r = 0; r < control->size(); ++r) {
    if (r == control->rank()) continue;
    Message message;
    const auto left = std::chrono::duration_cast<Communicator::Milliseconds>(end - Clock::now());
    if (control->TryReceive(r, kTroubleTag, std::max(left, 0ms), &message)) {
      found[r] = message.bytes;
    }
  }
  return found;
}

void NcclState::NoteCall(uint64_t key, const std::string& operation) {
  calls_.push_back(operation);
  if (control->size() > 1 && calls_.size() == kCompareEvery) CompareCalls(key, operation);
}

void NcclState::CompareCalls(uint64_t key, const std::string& operation) {
  std::string text;
  for (const std::string& call : calls_) text += call + "\n";
  at::Tensor own = at::empty({1}, at::kLong), all = at::empty({control->size()}, at::kLong);
  own.fill_(static_cast<int64_t>(std::hash<std::string>()(text)));
  control->AllGather(all, own)->Wait();
  const auto digests = all.accessor<int64_t, 1>();
  bool alike = true;
  for (int r = 0; r < control->size(); ++r) alike = alike && digests[r] == digests[0];
  if (!alike) {
    if (control->rank() == 0) {
      for (int r = 1; r < control->size(); ++r) control->Send(text, r, kCallsTag);
      Fail(key, operation, kNotAlike);
    }
    std::istringstream first(control->Receive(0, kCallsTag).bytes);
    for (const std::string& call : calls_) {
      std::string expected;
      std::getline(first, expected);
      if (call == expected) continue;
      Fail(key, call,
           StrCat("where ", RankName(control->WorldRank(0)), " has ", expected,
                  "; ranks must call the same collectives in the same order"));
    }
    Fail(key, operation, kNotAlike);
  }
  calls_.clear();
}

void NcclState::LookForErrors() {
  std::lock_guard lock(mutex_);
  if (!handle) return;
  ncclResult_t result = ncclSuccess;
  const ncclResult_t asked = nccl->CommGetAsyncError(handle, &result);
  if (asked != ncclSuccess) result = asked;
  if (result == ncclSuccess || result == ncclInProgress) return;
  const auto now = Clock::now();
  if (error_seen_ == Clock::time_point()) error_seen_ = now;
  if (now < error_seen_ + timeout) return;
  AbortJob(static_cast<int>(ExitStatus::kMachine),
           StrCat("'", recorder->communicator(), "' failed: ", nccl->GetErrorString(result), ": ",
                  nccl->GetLastError(handle), "; nothing has waited for it since"));
}

}  // namespace flame
