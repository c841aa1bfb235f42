// A worker of a sweep: does jobs until every job has ended, here or at other workers.
#ifndef FLAME_LAUNCH_SWEEP_WORKER_H_
#define FLAME_LAUNCH_SWEEP_WORKER_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/sweep/trials.h"

namespace flame {

struct WorkerOptions {
  std::filesystem::path dir;
  int64_t jobs_at_once = 1;
  int64_t retries = 1;
  double heartbeat_deadline = 60;  // seconds
  std::string log_level;           // --log-level of the jobs; empty: their default
};

// Each job is a process of its own, its output in log.txt of its folder; with several at once those
// whose run.threads is 0 share the cores, and each has a place of its own among the machine's GPUs.
// A job whose stages another has to make is waited for. After SIGTERM or SIGUSR1 the processes are
// asked to save and stop; throws Stopped when they have. Throws MachineError, once all else is
// done, that lists what failed for good.
void WorkOff(const std::vector<SweepJob>& jobs, const WorkerOptions& options);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_WORKER_H_
