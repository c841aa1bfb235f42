// The flight recorder, the thread that ends a stuck job, and the end of a job by one rank.
#ifndef FLAME_COMM_WATCHDOG_H_
#define FLAME_COMM_WATCHDOG_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace flame {

// One started operation of a communicator. Times are seconds since the program started.
struct FlightEntry {
  uint64_t sequence = 0;  // counts the collectives, or the messages, of the communicator
  std::string operation;  // "all-reduce", "receive tag 7"
  uint64_t num_bytes = 0;
  double started = 0;
  double finished = -1;        // -1: not finished
  std::vector<int> waits_for;  // ranks of the job that had not answered when last looked at
};

// The last 64 operations of one communicator. Safe from any thread.
class FlightRecorder {
 public:
  static constexpr uint64_t kCapacity = 64;
  static constexpr uint64_t kNoKey = ~uint64_t{0};  // key of an operation that is not recorded
  explicit FlightRecorder(std::string communicator);
  // Makes a recorder that is part of flight records until it is destroyed.
  static std::shared_ptr<FlightRecorder> Make(const std::string& communicator);

  // Returns the entry's key for the calls below, which do nothing once the entry is overwritten.
  uint64_t Start(std::string operation, uint64_t sequence, uint64_t num_bytes);
  void Finish(uint64_t key);
  void SetWaitsFor(uint64_t key, std::vector<int> ranks);

  const std::string& communicator() const { return communicator_; }
  std::vector<FlightEntry> Entries() const;  // oldest first
  FlightEntry Entry(uint64_t key) const;

 private:
  const std::string communicator_;
  mutable std::mutex mutex_;
  std::array<FlightEntry, kCapacity> ring_;
  uint64_t next_ = 0;
};

// Returns text such as "all-reduce #2 (4000 bytes) on 'mpi world'".
std::string WordsFor(const FlightRecorder& recorder, const FlightEntry& entry);
// Returns WordsFor() the operation that was started last on any communicator; "" if there was none.
std::string LastOperation();

// Set the folder of flight-rank-N.json (empty, the default: no file) and the rank of this process.
void SetFlightFolder(const std::filesystem::path& folder);
void SetFlightRank(int rank, int world_size);
std::string FlightRankPrefix();  // RankName and ": ", or "" if there is one rank
// Sets the host of every rank of the job, in rank order.
void SetHosts(std::vector<std::string> hosts);
// Returns the host of a rank; "" if unknown or if all ranks share one.
std::string HostOf(int rank);
// Writes the record of every live communicator:
//   {"rank", "world_size", "communicators": [{"name", "operations": [{"sequence", "operation",
//    "bytes", "started", "finished" (null: not yet), "waits_for": [ranks]}]}]}
// A disk that fails, or hangs for 5 s, is only logged: the failure being recorded matters more.
void WriteFlightRecord();

// Lets the watchdog thread watch a wait of this thread during its lifetime. The operation waited
// for must end by itself within `timeout`. After that the watchdog writes the flight record. After
// a further tenth of `timeout` (0.5 to 10 s) the watchdog assumes that the thread is stuck in a
// library and ends the job with status 4. If a stop signal arrives and does not end the wait, the
// watchdog logs which ranks are waited for: mpirun sends that signal to all ranks when one of them
// was killed.
class WatchedWait {
 public:
  WatchedWait(std::shared_ptr<FlightRecorder> recorder, uint64_t key,
              std::chrono::milliseconds timeout);
  ~WatchedWait();
  WatchedWait(const WatchedWait&) = delete;
  WatchedWait& operator=(const WatchedWait&) = delete;

 private:
  uint64_t id_;
};

// Makes the watchdog thread call `look` about ten times a second during its lifetime.
class WatchedState {
 public:
  explicit WatchedState(std::function<void()> look);
  ~WatchedState();  // waits for a call under way
  WatchedState(const WatchedState&) = delete;
  WatchedState& operator=(const WatchedState&) = delete;

 private:
  uint64_t id_;
};

// Ends this process and, under MPI, the whole job with `status`, after one line on stderr.
[[noreturn]] void AbortJob(int status, const std::string& why);

// Returns "rank 2", or "rank 2 (node7)" if the job runs on several hosts.
std::string RankName(int rank);
// Returns "rank 2", "ranks 2, 3" or "ranks 2 (node7), 3 (node8)".
std::string RankList(const std::vector<int>& ranks);

}  // namespace flame

#endif  // FLAME_COMM_WATCHDOG_H_
