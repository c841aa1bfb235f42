#include "launch/sweep/worker.h"

#include <signal.h>

#include <algorithm>
#include <exception>
#include <fstream>
#include <thread>
#include <utility>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "base/signals.h"
#include "launch/run/session.h"
#include "launch/run/stage.h"
#include "launch/sweep/claims.h"

namespace flame {
namespace {

using Clock = SilenceWatch::Clock;
using Seconds = std::chrono::duration<double>;

constexpr auto kNap = std::chrono::milliseconds(100);
// The time between two looks at the other workers' jobs.
constexpr auto kLook = std::chrono::seconds(1);
// The time that a job has to save after it was asked to stop.
constexpr auto kStopDeadline = std::chrono::minutes(10);

class Worker {
 public:
  Worker(const std::vector<SweepJob>& jobs, const WorkerOptions& options)
      : jobs_(jobs),
        options_(options),
        claims_(options.dir),
        watch_(options.heartbeat_deadline),
        states_(jobs.size(), JobState::kWaiting) {}

  void Run() {
    while (true) {
      Reap();
      Beat();
      if (StopRequested()) {
        PassStopOn();
        if (running_.empty()) break;
      } else if (!IsFull() && Clock::now() >= next_look_) {
        Look();
        if (running_.empty() && AllEnded()) break;
      }
      std::this_thread::sleep_for(kNap);
    }
    if (!AllEnded()) StopIfRequested();
    ThrowFailures();
  }

 private:
  struct Running {
    size_t job;
    Attempt attempt;
    ChildProcess child;
    int place;  // place among the jobs that run at once, from 0
  };

  // Starts the jobs that can be started, in their order.
  void Look() {
    next_look_ = Clock::now() + kLook;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      const bool ours = std::any_of(running_.begin(), running_.end(),
                                    [&](const Running& running) { return running.job == i; });
      if (!ours && !Ended(i)) LookAt(i);
    }
  }

  void LookAt(size_t i) {
    const SweepJob& job = jobs_[i];
    const JobState parent = job.parent < 0 ? JobState::kDone : states_[job.parent];
    if (parent == JobState::kFailed) states_[i] = JobState::kFailed;
    if (parent != JobState::kDone) return;
    std::vector<Attempt> attempts = claims_.AttemptsAt(job.name);
    states_[i] = StateOf(attempts, options_.retries);
    if (states_[i] == JobState::kRunning) {
      if (!watch_.IsSilent(attempts.back(), Clock::now())) return;
      // The worker may hang while its job's process goes on: no job is done twice.
      if (IsFull() || IsRunInUse(job.folder)) return;
      EndDead(job, &attempts.back());
      states_[i] = StateOf(attempts, options_.retries);
    }
    if (Ended(i) || IsFull()) return;
    const int64_t number = attempts.empty() ? 1 : attempts.back().number + 1;
    if (const auto attempt = claims_.Claim(job.name, number)) Start(i, *attempt);
  }

  // Ends a dead worker's attempt as failed: the job itself may have killed its worker.
  void EndDead(const SweepJob& job, Attempt* attempt) {
    LogWarning(job.name, ": its worker ", attempt->owner, " was silent for ",
               options_.heartbeat_deadline, " s and is taken for dead; attempt ", attempt->number,
               " of at most ", options_.retries + 1, " failed");
    attempt->end = "failed";
    attempt->status = static_cast<int>(ExitStatus::kMachine);
    claims_.Write(attempt);
  }

  void Start(size_t i, Attempt attempt) {
    const SweepJob& job = jobs_[i];
    LogInfo(job.name, " (", job.what, "): started, attempt ", attempt.number);
    try {
      WriteFileAtomically(job.folder / "job.yaml", job.config.ResolvedYaml());
      if (job.parent >= 0) TakeStages(jobs_[job.parent], job);
      const int place = FreePlace();
      running_.push_back({i, attempt, StartFlame(CommandOf(job), LogOf(job), place), place});
    } catch (const Error& error) {
      NotStarted(i, attempt, error.what(), error.status());
    } catch (const std::exception& error) {
      NotStarted(i, attempt, error.what(), ExitStatus::kMachine);
    }
  }

  void TakeStages(const SweepJob& parent, const SweepJob& job) const {
    try {
      ShareStages(parent.folder, job.folder);
    } catch (const std::exception& error) {
      throw DataError(error.what(), "; ", parent.name, " is made again once ",
                      claims_.Folder(parent.name).string(), " is deleted, and this job is tried ",
                      "again once ", claims_.Folder(job.name).string(), " is");
    }
  }

  // Records that a job could not be started. The other jobs of this worker go on.
  void NotStarted(size_t i, const Attempt& attempt, const char* why, ExitStatus status) {
    LogError(jobs_[i].name, ": ", why);
    std::ofstream(LogOf(jobs_[i]), std::ios::app) << "flame: " << why << "\n";
    End(i, attempt, static_cast<int>(status));
  }

  int FreePlace() const {
    int place = 0;
    const auto taken = [&](const Running& running) { return running.place == place; };
    while (std::any_of(running_.begin(), running_.end(), taken)) ++place;
    return place;
  }

  std::vector<std::string> CommandOf(const SweepJob& job) const {
    std::vector<std::string> words = job.command;
    words.push_back("--config");
    words.push_back((job.folder / "job.yaml").string());
    if (!options_.log_level.empty()) {
      words.insert(words.end(), {"--log-level", options_.log_level});
    }
    if (options_.jobs_at_once > 1 && job.config.run.threads == 0) {
      const int64_t cores = std::max(1U, std::thread::hardware_concurrency());
      words.push_back(StrCat("run.threads=", std::max<int64_t>(1, cores / options_.jobs_at_once)));
    }
    return words;
  }

  static std::filesystem::path LogOf(const SweepJob& job) { return job.folder / "log.txt"; }

  void Reap() {
    for (size_t i = 0; i < running_.size();) {
      const std::optional<int> status = running_[i].child.Ended();
      if (!status) {
        ++i;
        continue;
      }
      const Running ended = std::move(running_[i]);
      running_.erase(running_.begin() + static_cast<int64_t>(i));
      End(ended.job, ended.attempt, *status);
      next_look_ = Clock::now();
    }
  }

  // Records how a job ended. A process that a signal killed while the sweep stops counts as
  // stopped: it had nothing to save yet, or no time.
  void End(size_t i, Attempt attempt, int status) {
    const bool stopped =
        status == static_cast<int>(ExitStatus::kResumable) || (status > 128 && StopRequested());
    attempt.end = status == 0 ? "done" : stopped ? "stopped" : "failed";
    attempt.status = stopped ? 0 : status;
    if (!claims_.Write(&attempt)) return Lost(i);
    const SweepJob& job = jobs_[i];
    if (attempt.end == "failed") {
      LogWarning(job.name, " (", job.what, "): failed with status ", status, "; see ",
                 LogOf(job).string());
    } else {
      LogInfo(job.name, " (", job.what, "): ", attempt.end);
    }
  }

  void Beat() {
    if (Clock::now() < next_beat_) return;
    next_beat_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                    Seconds(options_.heartbeat_deadline / 6));
    for (size_t i = 0; i < running_.size();) {
      if (claims_.Write(&running_[i].attempt)) {
        ++i;
        continue;
      }
      running_[i].child.Kill();
      Lost(running_[i].job);
      running_.erase(running_.begin() + static_cast<int64_t>(i));
    }
  }

  void Lost(size_t i) {
    LogWarning(jobs_[i].name, ": another worker took it over, since this one was silent for ",
               options_.heartbeat_deadline, " s");
  }

  void PassStopOn() {
    const auto now = Clock::now();
    if (!stop_deadline_) {
      stop_deadline_ = now + kStopDeadline;
      for (const Running& running : running_) running.child.Signal(SIGTERM);
    }
    if (now < *stop_deadline_) return;
    *stop_deadline_ += kStopDeadline;
    for (const Running& running : running_) {
      LogWarning(jobs_[running.job].name, ": killed, since it did not stop in 10 minutes");
      running.child.Signal(SIGKILL);
    }
  }

  bool IsFull() const { return static_cast<int64_t>(running_.size()) >= options_.jobs_at_once; }
  bool Ended(size_t i) const {
    return states_[i] == JobState::kDone || states_[i] == JobState::kFailed;
  }
  bool AllEnded() const {
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (!Ended(i)) return false;
    }
    return true;
  }

  void ThrowFailures() const {
    std::string failures;
    int count = 0;
    for (size_t i = 0; i < jobs_.size(); ++i) {
      if (states_[i] != JobState::kFailed) continue;
      ++count;
      const SweepJob& job = jobs_[i];
      const bool own = job.parent < 0 || states_[job.parent] != JobState::kFailed;
      failures += StrCat("\n  ", job.name, " (", job.what, "): ");
      failures += own ? StrCat("see ", LogOf(job).string(), "; tried again once ",
                               claims_.Folder(job.name).string(), " is deleted")
                      : jobs_[job.parent].name + ", from which it starts, failed";
    }
    if (count > 0) throw MachineError(count, " of ", jobs_.size(), " jobs failed:", failures);
  }

  const std::vector<SweepJob>& jobs_;
  const WorkerOptions options_;
  SweepClaims claims_;
  SilenceWatch watch_;
  std::vector<JobState> states_;
  std::vector<Running> running_;
  Clock::time_point next_look_ = Clock::now(), next_beat_ = Clock::now();
  std::optional<Clock::time_point> stop_deadline_;
};

}  // namespace

void WorkOff(const std::vector<SweepJob>& jobs, const WorkerOptions& options) {
  InstallStopSignals();
  // A terminal sends SIGINT to the jobs, too. They end at once, count as stopped, not as failed,
  // and are resumed later.
  InstallInterruptAsStop();
  Worker(jobs, options).Run();
}

}  // namespace flame
