// Claims on the jobs of a sweep, in files that any number of workers on any number of hosts share.
//
// dir/attempts/JOB/N.json, N from 1, is the N-th attempt at a job: a claim while it runs, then its
// outcome. The file is created exclusively, so only one of two workers that try gets it. The owner
// keeps rewriting the file with a higher beat. An owner whose beat has stood still for the deadline
// is taken for dead: a worker that sees this writes that the attempt failed, and may create attempt
// N + 1. An owner of N that finds N + 1 has lost the job.
//   {"owner": "host:4711", "beat": 17, "end": "", "status": 0}
#ifndef FLAME_LAUNCH_SWEEP_CLAIMS_H_
#define FLAME_LAUNCH_SWEEP_CLAIMS_H_

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace flame {

struct Attempt {
  std::string job;
  int64_t number = 0;  // from 1
  std::string owner;   // "host:pid"; "" if the owner has not written it yet
  int64_t beat = 0;
  std::string end;  // "" while it runs; "done", "stopped" (to be resumed) or "failed"
  int status = 0;   // exit status of a failed attempt; 128 + N for signal N
  // Seconds since the file was written, by this host's clock and the file's time stamp. Only for
  // display.
  double silence = 0;
};

enum class JobState {
  kWaiting,  // never tried, stopped, or failed with retries left
  kRunning,
  kDone,
  kFailed,  // failed with no retries left
};

// Returns a job's state from all its attempts, the latest last. An attempt has failed if it says so
// or if it has no end and a later attempt exists. Status 2 and 3 (config, data) would recur and are
// not retried.
JobState StateOf(const std::vector<Attempt>& attempts, int64_t retries);

class SweepClaims {
 public:
  explicit SweepClaims(std::filesystem::path dir);

  // Returns all attempts at a job in order; empty if there is none. Throws DataError if a file is
  // damaged.
  std::vector<Attempt> AttemptsAt(const std::string& job) const;
  // Claims attempt `number` for this process; nullopt if another process was first.
  std::optional<Attempt> Claim(const std::string& job, int64_t number);
  // Writes that the owner lives, or how the attempt ended. Returns false and writes nothing if
  // another worker has taken the job over.
  bool Write(Attempt* attempt);
  std::filesystem::path Folder(const std::string& job) const { return dir_ / "attempts" / job; }

 private:
  std::filesystem::path dir_;
  std::string owner_;
};

// Watches by the reader's own clock whether an attempt's beat stands still, so that the clocks of
// hosts need not agree.
class SilenceWatch {
 public:
  using Clock = std::chrono::steady_clock;
  explicit SilenceWatch(double deadline_seconds) : deadline_(deadline_seconds) {}
  // True if this attempt has been seen with the same beat for longer than the deadline.
  bool IsSilent(const Attempt& attempt, Clock::time_point now);

 private:
  struct Seen {
    int64_t number, beat;
    Clock::time_point since;
  };
  std::chrono::duration<double> deadline_;
  std::map<std::string, Seen> seen_;
};

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_CLAIMS_H_
