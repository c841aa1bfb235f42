// A worker of a sweep: does jobs until every job has ended, here or on other workers.
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

// Runs the jobs. Each job is a process of its own, with its output in log.txt of its folder. If
// several run at once, those whose run.threads is 0 share the cores, and each has its own place
// among the machine's GPUs. A job whose parent stages are not done yet waits for them. After
// SIGTERM or SIGUSR1, asks the processes to save and stop, and throws Stopped when they have. If
// jobs failed with no retries left, throws MachineError listing them once all other jobs are done.
void WorkOff(const std::vector<SweepJob>& jobs, const WorkerOptions& options);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_WORKER_H_
