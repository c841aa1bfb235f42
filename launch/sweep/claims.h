// Who works on a job of a sweep, in files that any number of workers on any number of hosts share.
//
// dir/attempts/JOB/N.json, N from 1, is the N-th attempt at a job: a claim while it runs, then what
// became of it. An attempt is created exclusively, so of two workers that try one has it. Its owner
// rewrites it with a higher beat; one whose beat has stood still for the deadline is dead: who sees
// that writes that the attempt failed, and may create attempt N + 1. Who finds N + 1 beside its own
// N has lost the job.
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
  std::string owner;   // "host:pid"; "" where the owner has not got to write it yet
  int64_t beat = 0;
  std::string end;  // "" while it runs; "done", "stopped" (to be resumed) or "failed"
  int status = 0;   // exit status of one that failed; 128 + N of signal N
  // Seconds since its file was written, by this host's clock and the disk's: for people only.
  double silence = 0;
};

enum class JobState {
  kWaiting,  // never tried, stopped, or failed with retries left
  kRunning,
  kDone,
  kFailed,  // for good
};

// Of all attempts at a job, the latest last. Failed are those that say so and those without an end
// that another came after. Status 2 and 3 (config, data) would come again and are not retried.
JobState StateOf(const std::vector<Attempt>& attempts, int64_t retries);

class SweepClaims {
 public:
  explicit SweepClaims(std::filesystem::path dir);

  // In order; empty where there is none.
  std::vector<Attempt> AttemptsAt(const std::string& job) const;
  // Attempt `number` for this process; nothing where another was first.
  std::optional<Attempt> Claim(const std::string& job, int64_t number);
  // Shows that the owner lives, or how the attempt ended. False, and nothing written, where the job
  // was taken over.
  bool Write(Attempt* attempt);
  std::filesystem::path Folder(const std::string& job) const { return dir_ / "attempts" / job; }

 private:
  std::filesystem::path dir_;
  std::string owner_;
};

// Tells by the reader's own clock whether an attempt's beat stands still, so that the clocks of
// hosts need not agree.
class SilenceWatch {
 public:
  using Clock = std::chrono::steady_clock;
  explicit SilenceWatch(double deadline_seconds) : deadline_(deadline_seconds) {}
  // True once this attempt was seen with the same beat for longer than the deadline.
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
