#include "launch/batch/job.h"

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kLongestAnswer(60);

}  // namespace

ProgramAnswer AskSlurm(const std::vector<std::string>& words, Errors errors) {
  ProgramAnswer answer = AskProgram(words, kLongestAnswer, errors);
  if (answer.status == kOutOfTime) {
    throw MachineError(words[0], " has not answered for ", kLongestAnswer.count(), " s",
                       words[0] == "sbatch" ? "; squeue says whether there is a job now" : "");
  }
  return answer;
}

bool IsJobNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

fs::path JobFile(const fs::path& run_dir) { return run_dir / "launch" / "job"; }

std::string JobOf(const fs::path& run_dir) {
  if (!fs::exists(JobFile(run_dir))) {
    throw UsageError(run_dir.string(),
                     " has no launch/job; expected a folder that flame launch was "
                     "given as run.dir");
  }
  std::string job = ReadWholeFile(JobFile(run_dir));
  while (job.ends_with('\n')) job.pop_back();
  if (!IsJobNumber(job)) {
    throw DataError(JobFile(run_dir).string(), " holds '", job, "'; expected the number of a job");
  }
  return job;
}

fs::path JobLog(const fs::path& run_dir, const std::string& job) {
  return run_dir / "launch" / StrCat("job-", job, ".log");
}

nlohmann::ordered_json StateOfJob(const std::string& job) {
  nlohmann::ordered_json state = nlohmann::ordered_json::object();
  const ProgramAnswer answer = AskSlurm({"scontrol", "-o", "show", "job", job});
  if (answer.status != 0 && answer.text.find("Invalid job id") != std::string::npos) return state;
  if (answer.status != 0) throw MachineError("scontrol show job ", job, ": ", answer.text);
  for (const char* name : {"JobState", "Reason", "Restarts", "ExitCode", "RunTime", "NodeList"}) {
    const std::string before = StrCat(" ", name, "=");
    size_t start = answer.text.find(before);
    if (start == std::string::npos) continue;
    start += before.size();
    state[name] = answer.text.substr(start, answer.text.find(' ', start) - start);
  }
  return state;
}

bool AtWork(const nlohmann::ordered_json& state) {
  const std::string name = state.value("JobState", "");
  for (const char* word : {"PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "REQUEUED",
                           "CONFIGURING", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}) {
    if (name.starts_with(word)) return true;
  }
  return false;
}

}  // namespace flame
