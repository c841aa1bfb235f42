#include "comm/watchdog.h"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kLookEvery = milliseconds(100);
// The time from a stop signal to a warning. When a rank dies, mpirun sends the others SIGTERM, and
// SIGKILL a second later.
constexpr auto kStopPatience = milliseconds(300);
// The time that MPI_Abort may take before this process ends without it.
constexpr auto kAbortTime = std::chrono::seconds(5);

struct Watched {
  std::shared_ptr<FlightRecorder> recorder;
  uint64_t key = 0;
  milliseconds timeout{0};
  Clock::time_point start, deadline, end;
  bool recorded = false, told = false;
};

class Watchdog {
 public:
  // Never destroyed: its thread ends with the process.
  static Watchdog& The() {
    static Watchdog* watchdog = new Watchdog;
    return *watchdog;
  }

  uint64_t Add(Watched watched) {
    std::lock_guard lock(mutex_);
    watched_.emplace(++last_id_, std::move(watched));
    return last_id_;
  }

  void Remove(uint64_t id) {
    std::lock_guard lock(mutex_);
    watched_.erase(id);
  }

  uint64_t AddLook(std::function<void()> look) {
    std::lock_guard lock(looks_mutex_);
    looks_.emplace(++last_look_, std::move(look));
    return last_look_;
  }

  void RemoveLook(uint64_t id) {
    std::lock_guard lock(looks_mutex_);
    looks_.erase(id);
  }

 private:
  Watchdog() {
    std::thread([this] { Look(); }).detach();
  }

  void Look() {
    for (;;) {
      std::this_thread::sleep_for(kLookEvery);
      TellWaitsAtStop();
      {
        std::lock_guard lock(looks_mutex_);
        for (const auto& [id, look] : looks_) look();
      }
      bool record = false;
      Watched stuck;
      {
        std::lock_guard lock(mutex_);
        const auto now = Clock::now();
        for (auto& [id, watched] : watched_) {
          if (now < watched.deadline) continue;
          record |= !std::exchange(watched.recorded, true);
          if (now >= watched.end) stuck = watched;
        }
      }
      if (record) WriteFlightRecord();
      if (stuck.recorder) End(stuck);
    }
  }

  // Logs the waits that a stop signal did not end. If another rank was killed, nobody else can say
  // what it left undone.
  void TellWaitsAtStop() {
    if (!StopRequested()) return;
    std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (stopped_ == Clock::time_point()) stopped_ = now;
    if (now < stopped_ + kStopPatience) return;
    for (auto& [id, watched] : watched_) {
      if (watched.start > stopped_ || std::exchange(watched.told, true)) continue;
      const FlightEntry entry = watched.recorder->Entry(watched.key);
      LogWarning(FlightRankPrefix(), WordsFor(*watched.recorder, entry), " still waits for ",
                 RankList(entry.waits_for),
                 " after a stop signal; mpirun sends one to every rank when a rank was killed");
    }
  }

  [[noreturn]] static void End(const Watched& stuck) {
    const FlightEntry entry = stuck.recorder->Entry(stuck.key);
    AbortJob(static_cast<int>(ExitStatus::kMachine),
             StrCat(WordsFor(*stuck.recorder, entry), " was not answered within ",
                    stuck.timeout.count() / 1000.0, " s by ", RankList(entry.waits_for),
                    " and does not return; the watchdog ends the job"));
  }

  std::mutex mutex_, looks_mutex_;
  std::map<uint64_t, Watched> watched_;
  std::map<uint64_t, std::function<void()>> looks_;
  uint64_t last_id_ = 0, last_look_ = 0;
  Clock::time_point stopped_;  // when a stop signal was first seen
};

}  // namespace

WatchedWait::WatchedWait(std::shared_ptr<FlightRecorder> recorder, uint64_t key,
                         milliseconds timeout) {
  const auto grace = std::clamp(timeout / 10, milliseconds(500), milliseconds(10000));
  const auto start = Clock::now(), deadline = start + timeout;
  id_ = Watchdog::The().Add({std::move(recorder), key, timeout, start, deadline, deadline + grace});
}

WatchedWait::~WatchedWait() { Watchdog::The().Remove(id_); }

WatchedState::WatchedState(std::function<void()> look)
    : id_(Watchdog::The().AddLook(std::move(look))) {}

WatchedState::~WatchedState() { Watchdog::The().RemoveLook(id_); }

void AbortJob(int status, const std::string& why) {
  const std::string prefix = FlightRankPrefix();
  const std::string line = StrCat("flame: ", why.starts_with(prefix) ? "" : prefix, why, "\n");
  std::fflush(nullptr);
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) _exit(status);
  int initialized = 0, finalized = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (initialized && !finalized) {
    std::thread([status] {
      std::this_thread::sleep_for(kAbortTime);
      _exit(status);
    }).detach();
    MPI_Abort(MPI_COMM_WORLD, status);
  }
  _exit(status);
}

}  // namespace flame
