// flame sweep: runs the trials of a sweep file.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/config/stage_inputs.h"
#include "launch/sweep/report.h"
#include "launch/sweep/worker.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

struct SweepArguments {
  fs::path file;
  int64_t jobs = 1;
  std::string log_level;  // of the worker and its jobs; empty: their default
  bool slurm = false;
};

// Becomes sbatch; returns only by throwing.
void Submit(const SweepArguments& arguments) {
  const fs::path batch = ShareFolder() / "slurm" / "sweep.sbatch";
  if (!fs::exists(batch))
    throw MachineError(batch.string(), ": expected the batch file of a worker");
  std::vector<std::string> words = {"sbatch", StrCat("--array=0-", arguments.jobs - 1),
                                    batch.string(), arguments.file.string(),
                                    FlameProgram().string()};
  if (!arguments.log_level.empty()) {
    words.insert(words.end(), {"--log-level", arguments.log_level});
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp("sbatch", pointers.data());
  throw MachineError("cannot start sbatch: ", std::strerror(errno),
                     "; --slurm needs a host that submits to Slurm");
}

bool AllDone(const SweepFile& file, const std::vector<SweepJob>& jobs) {
  const SweepClaims claims(file.options.dir);
  return std::all_of(jobs.begin(), jobs.end(), [&](const SweepJob& job) {
    return StateOf(claims.AttemptsAt(job.name), file.options.retries) == JobState::kDone;
  });
}

void Run(const SweepArguments& arguments) {
  const SweepFile file = ReadSweepFile(arguments.file);
  const std::vector<Trial> trials = ExpandSweep(file);
  const std::vector<SweepJob> jobs = PlanJobs(file.options.dir, trials);
  for (const Trial& trial : trials) CheckInputs(trial.config);
  LogInfo(arguments.file.string(), ": ", trials.size(), " trials on ", jobs.size() - trials.size(),
          " shared stages in ", file.options.dir.string());
  if (arguments.slurm) {
    if (AllDone(file, jobs)) return LogInfo("every job is done; nothing is submitted");
    Submit(arguments);
  }
  WriteSweepRecord(file, trials, jobs);
  WorkOff(jobs, {file.options.dir, arguments.jobs, file.options.retries,
                 file.options.heartbeat_deadline, arguments.log_level});
}

}  // namespace

int RunSweep(const ParsedOptions& options) {
  UseLogLevel(options);
  const SweepArguments arguments{options.words[0], options.Count("jobs", 1, 1, 1000),
                                 options.Text("log-level"), options.Has("slurm")};
  Run(arguments);
  const SweepResults results = ReadSweepResults(arguments.file);
  std::cout << (options.Has("json") ? SweepJson(results).dump() + "\n" : SweepTable(results));
  return 0;
}

}  // namespace flame
