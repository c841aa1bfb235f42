// The Slurm job of a run folder: its number, its log, its state.
//   RUN/launch/job.sbatch, config.yaml   what was submitted
//   RUN/launch/job                       the number of the last job
//   RUN/launch/job-NUMBER.log            what it printed
#ifndef FLAME_LAUNCH_BATCH_JOB_H_
#define FLAME_LAUNCH_BATCH_JOB_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/child_process.h"

namespace flame {

// Runs a Slurm command with a time limit of one minute. Throws MachineError if it does not answer.
ProgramAnswer AskSlurm(const std::vector<std::string>& words, Errors errors = Errors::kInText);

// True if `text` is digits alone, as the number of a job is.
bool IsJobNumber(const std::string& text);

std::filesystem::path JobFile(const std::filesystem::path& run_dir);
std::filesystem::path JobLog(const std::filesystem::path& run_dir, const std::string& job);

// The number of the run's last job. Throws UsageError if flame launch submitted none, DataError if
// the file holds no number.
std::string JobOf(const std::filesystem::path& run_dir);

// A job's fields in scontrol, by their names: {"JobState": "RUNNING", ...}; empty if Slurm has
// forgotten the job.
nlohmann::ordered_json StateOfJob(const std::string& job);

// True if a job in this state waits, runs or ends.
bool AtWork(const nlohmann::ordered_json& state);

}  // namespace flame

#endif  // FLAME_LAUNCH_BATCH_JOB_H_
