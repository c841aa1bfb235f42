#include "launch/doctor/allocation.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/child_process.h"
#include "base/error.h"
#include "base/files/program_files.h"
#include "comm/mpi_communicator.h"
#include "launch/doctor/report.h"

namespace flame {
namespace {

using Words = std::vector<std::string>;

// Seconds: longer than the answers of all ranks take; longer than Slurm tries to reach a host.
constexpr std::chrono::seconds kLongestExamination(600), kLongestStart(30);

// Step numbers from here on are Slurm's own: the batch file, the shell of salloc (slurm.h).
constexpr int64_t kFirstOwnStep = 0xfffffff0;

int64_t FromSlurm(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoll(text);
}

Words HostsOfAllocation() {
  const char* list = std::getenv("SLURM_JOB_NODELIST");
  if (list == nullptr) return {};
  const ProgramAnswer answer =
      AskProgram({"scontrol", "show", "hostnames", list}, kLongestStart, Errors::kInText);
  if (answer.status != 0) return {};
  std::istringstream lines(answer.text);
  Words hosts;
  for (std::string host; std::getline(lines, host);) hosts.push_back(host);
  return hosts;
}

bool StartsOn(const std::string& host) {
  const ProgramAnswer answer =
      AskProgram({"srun", "--nodes=1", "--ntasks=1", "--nodelist=" + host, "--overlap", "true"},
                 kLongestStart, Errors::kInText);
  return answer.status == 0;
}

CheckResult WhyNoReport(int status) {
  const Words hosts = HostsOfAllocation();
  std::string dead;
  size_t num_dead = 0;
  for (const std::string& host : hosts) {
    if (StartsOn(host)) continue;
    dead += (dead.empty() ? "" : ", ") + host;
    ++num_dead;
  }
  const std::string ended = StrCat("srun ended with status ", status, " before the ranks answered");
  if (num_dead > 0) {
    return {"ranks", false, StrCat(ended, "; of ", hosts.size(), " hosts no step starts on ", dead),
            "check that the host runs, that its slurmd answers (sinfo -N), and its network; the "
            "messages of srun are above"};
  }
  return {"ranks", false,
          StrCat(ended, ", though a step starts on each of the ", hosts.size(), " hosts alone"),
          "see the messages of srun above; check that srun --mpi=list has pmix, and that the hosts "
          "reach each other over the network that MPI uses (OMPI_MCA_btl_tcp_if_include names an "
          "interface)"};
}

}  // namespace

bool InAllocationOfSeveral() {
  if (LaunchedByMpi() || std::getenv("SLURM_JOB_ID") == nullptr) return false;
  const bool in_step =
      std::getenv("SLURM_STEP_ID") != nullptr && FromSlurm("SLURM_STEP_ID") < kFirstOwnStep;
  if (in_step && FromSlurm("SLURM_STEP_NUM_TASKS") > 1) {
    throw UsageError("this is one of ", FromSlurm("SLURM_STEP_NUM_TASKS"),
                     " tasks of srun without --mpi=pmix; expected srun --mpi=pmix, or flame doctor "
                     "in the batch file itself");
  }
  return !in_step && std::max(FromSlurm("SLURM_NTASKS"), FromSlurm("SLURM_JOB_NUM_NODES")) > 1;
}

nlohmann::json ReportOfAllocation(const Words& words) {
  Words command = {"env", "SLURM_PMIX_FENCE=ring", "srun", "--mpi=pmix", "--kill-on-bad-exit=1"};
  if (const int64_t cores = FromSlurm("SLURM_CPUS_PER_TASK"); cores > 0) {
    command.push_back(StrCat("--cpus-per-task=", cores));
  }
  command.insert(command.end(), {FlameProgram().string(), "doctor", "--json"});
  command.insert(command.end(), words.begin(), words.end());
  const ProgramAnswer answer = AskProgram(command, kLongestExamination, Errors::kOnStderr);
  auto report = nlohmann::json::parse(answer.text, nullptr, /*allow_exceptions=*/false);
  if (report.is_object() && report.contains("checks")) return report;
  return DoctorJson({}, {WhyNoReport(answer.status)});
}

}  // namespace flame
