// flame launch --status, --logs and --cancel: the last job of a run.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/batch/job.h"
#include "launch/command/command.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

std::string LastLineOf(const fs::path& log) {
  if (!fs::exists(log)) return "";
  std::string text = ReadWholeFile(log);
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

int Status(const fs::path& run_dir, bool json) {
  const std::string job = JobOf(run_dir);
  const auto state = StateOfJob(job);
  const std::string last_line = LastLineOf(JobLog(run_dir, job));
  if (json) {
    const nlohmann::ordered_json report = {{"job", job},
                                           {"at_work", AtWork(state)},
                                           {"slurm", state},
                                           {"log", JobLog(run_dir, job).string()},
                                           {"last_line", last_line}};
    // A log may hold bytes that are no UTF-8.
    std::cout << report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    return 0;
  }
  std::cout << "job " << job << ":" << (state.empty() ? " Slurm no longer knows it" : "");
  for (const auto& [name, value] : state.items()) {
    std::cout << " " << name << "=" << value.get<std::string>();
  }
  std::cout << "\n";
  if (!last_line.empty()) std::cout << last_line << "\n";
  return 0;
}

int Logs(const fs::path& run_dir) {
  const fs::path log = JobLog(run_dir, JobOf(run_dir));
  if (!fs::exists(log))
    throw UsageError(log.string(), " is not there yet: the job has not started");
  std::cout << ReadWholeFile(log);
  return 0;
}

int Cancel(const fs::path& run_dir) {
  const std::string job = JobOf(run_dir);
  if (!AtWork(StateOfJob(job)))
    throw UsageError("job ", job, " has ended; there is nothing to cancel");
  const ProgramAnswer answer = AskSlurm({"scancel", job});
  if (answer.status != 0) throw MachineError("scancel ", job, ": ", answer.text);
  std::cout << "job " << job << " cancelled\n";
  return 0;
}

}  // namespace

int RunLaunchWatch(const ParsedOptions& options) {
  const std::vector<std::string> given = options.Names();
  std::string action;
  for (const char* name : {"status", "logs", "cancel"}) {
    if (options.Has(name)) action = name;
  }
  const bool with_json = action == "status" && options.Has("json");
  if (given.size() > (with_json ? 2 : 1) || !options.words.empty() || !options.overrides.empty()) {
    throw UsageError("--", action, " takes a run's folder and nothing else",
                     action == "status" ? " but --json" : "");
  }
  const fs::path run_dir = options.Text(action);
  if (action == "status") return Status(fs::absolute(run_dir).lexically_normal(), with_json);
  return action == "logs" ? Logs(run_dir) : Cancel(run_dir);
}

}  // namespace flame
