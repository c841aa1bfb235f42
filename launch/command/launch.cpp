// flame launch: a job of flame on a Slurm cluster.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "launch/batch/batch_file.h"
#include "launch/batch/slurm_program.h"
#include "launch/command/command.h"
#include "launch/doctor/probe.h"
#include "launch/doctor/report.h"
#include "launch/plan/limits.h"
#include "launch/run/stage.h"
#include "launch/run/stage_inputs.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr char kUsage[] =
    "flame launch grpo --config configs/quickstart.yaml --nodes 2 --gpus-per-node 4 --time "
    "12:00:00\n"
    "flame launch --status runs/quickstart\n\n"
    "Writes the batch file for a config into run.dir/launch and gives it to sbatch; a job that is\n"
    "stopped before its time is up goes on by itself. Refuses what flame plan says will not fit,\n"
    "and what flame doctor finds amiss on this host.\n"
    "Account and partition: SBATCH_ACCOUNT and SBATCH_PARTITION, which sbatch reads.\n"
    "Research software: not for treating patients.\n\n"
    "  COMMAND           pipeline, classifier, list or grpo\n"
    "  --nodes N         1 where not given\n"
    "  --gpus-per-node G ranks of a node that learn or sample, a GPU each (none is asked for with\n"
    "                    model.device=cpu); those that score run beside them. 1 where not given\n"
    "  --time T          as Slurm writes it: 12:00:00, 2-00:00:00\n"
    "  --gpu-memory S    memory of a GPU, as 80GB, for what must fit into it\n"
    "  --dry-run         print the batch file, write and submit nothing\n"
    "  --status RUN_DIR  state of the run's last job, and the last line of its log; with --json\n"
    "                    {job, at_work, slurm: {JobState, ...}, log, last_line}\n"
    "  --logs RUN_DIR    its log\n"
    "  --cancel RUN_DIR  end it; a training saves first, where Slurm's KillWait gives it the "
    "time\n";

constexpr int kLongestAnswer = 60;  // s

ProgramAnswer Ask(const std::vector<std::string>& words, Errors errors = Errors::kInText) {
  ProgramAnswer answer = AskProgram(words, kLongestAnswer, errors);
  if (answer.status == kOutOfTime) {
    throw MachineError(words[0], " has not answered for ", kLongestAnswer, " s",
                       words[0] == "sbatch" ? "; squeue says whether there is a job now" : "");
  }
  return answer;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

fs::path JobFile(const fs::path& run_dir) { return run_dir / "launch" / "job"; }

// The number of the run's last job.
std::string JobOf(const fs::path& run_dir) {
  if (!fs::exists(JobFile(run_dir))) {
    throw UsageError(run_dir.string(),
                     " has no launch/job; expected a folder that flame launch was "
                     "given as run.dir");
  }
  std::string job = ReadWholeFile(JobFile(run_dir));
  while (job.ends_with('\n')) job.pop_back();
  if (!IsNumber(job)) {
    throw DataError(JobFile(run_dir).string(), " holds '", job, "'; expected the number of a job");
  }
  return job;
}

fs::path LogOf(const fs::path& run_dir, const std::string& job) {
  return run_dir / "launch" / StrCat("job-", job, ".log");
}

// What scontrol says of a job, by its names: {"JobState": "RUNNING", ...}; empty where Slurm has
// forgotten the job.
nlohmann::ordered_json StateOf(const std::string& job) {
  nlohmann::ordered_json state = nlohmann::ordered_json::object();
  const ProgramAnswer answer = Ask({"scontrol", "-o", "show", "job", job});
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

std::string LastLineOf(const fs::path& log) {
  if (!fs::exists(log)) return "";
  std::string text = ReadWholeFile(log);
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

int Status(const fs::path& run_dir, bool json) {
  const std::string job = JobOf(run_dir);
  const auto state = StateOf(job);
  const std::string last_line = LastLineOf(LogOf(run_dir, job));
  if (json) {
    const nlohmann::ordered_json report = {{"job", job},
                                           {"at_work", AtWork(state)},
                                           {"slurm", state},
                                           {"log", LogOf(run_dir, job).string()},
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
  const fs::path log = LogOf(run_dir, JobOf(run_dir));
  if (!fs::exists(log))
    throw UsageError(log.string(), " is not there yet: the job has not started");
  std::cout << ReadWholeFile(log);
  return 0;
}

int Cancel(const fs::path& run_dir) {
  const std::string job = JobOf(run_dir);
  if (!AtWork(StateOf(job)))
    throw UsageError("job ", job, " has ended; there is nothing to cancel");
  const ProgramAnswer answer = Ask({"scancel", job});
  if (answer.status != 0) throw MachineError("scancel ", job, ": ", answer.text);
  std::cout << "job " << job << " cancelled\n";
  return 0;
}

int64_t CountOf(const OwnOptions& options, const std::string& name) {
  const auto given = options.values.find(name);
  if (given == options.values.end()) return 1;
  const std::string& text = given->second;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error == std::errc() && end == text.data() + text.size() && count >= 1 && count <= 10000) {
    return count;
  }
  throw UsageError(name, " is '", text, "'; expected a whole number from 1 to 10000");
}

// Refuses what would fail once the job has waited for its nodes.
void CheckFits(Config config, const BatchRequest& request, const BatchLayout& layout,
               double memory) {
  if (layout.learners > 0) {
    config.cluster.learners = layout.learners;
    config.cluster.rollouts = layout.rollouts;
    config.cluster.rewards = layout.rewards;
  }
  std::vector<StagePlan> plans;
  for (const std::string stage : {"classifier", "list", "grpo"}) {
    if (request.command != "pipeline" && request.command != stage) continue;
    const int64_t rewards = stage == "grpo" ? layout.rewards : 0;
    // Speeds do not matter to memory.
    plans.push_back(PlanStage(config, stage, {layout.gpu_ranks + rewards, request.gpus_per_node},
                              {1e12, 1e10, 0}));
  }
  const std::string faults = MemoryFaults(config, plans, memory);
  if (!faults.empty()) throw UsageError(faults);
}

void CheckStagesBefore(const Config& config, const std::string& command) {
  if (command == "pipeline") CheckInputs(config);
  std::vector<std::string> before;
  if (command != "pipeline") before = {"prepare"};
  if (command == "list" || command == "grpo") before.insert(before.end(), {"classifier", "tasks"});
  if (command == "grpo") before.push_back("list");
  for (const std::string& stage : before) {
    OutputDigest(config.run.dir, stage);
    CheckSettings(config.run.dir, stage, StageSettings(config, stage));
  }
}

// The job inherits this host's limits, build and run folder.
void CheckHost(const fs::path& run_dir) {
  const auto findings = Probe(nullptr, run_dir, "cpu", std::chrono::seconds(10));
  std::string faults;
  for (const CheckResult& check : JudgeFindings(*findings, /*expects_gpus=*/false)) {
    if (!check.passed) faults += StrCat("\n  ", check.name, ": ", check.found, "; ", check.mend);
  }
  if (!faults.empty()) {
    throw MachineError("not submitted: flame doctor finds here what would fail in the job", faults);
  }
}

void CheckNoOtherJob(const fs::path& run_dir) {
  if (!fs::exists(JobFile(run_dir))) return;
  const std::string job = JobOf(run_dir);
  if (AtWork(StateOf(job))) {
    throw UsageError("run.dir ", run_dir.string(), " has a job at work, ", job,
                     "; flame launch --cancel ends it");
  }
}

int Submit(const ConfigArguments& parsed, const fs::path& run_dir, const std::string& text) {
  CheckNoOtherJob(run_dir);
  CheckHost(run_dir);
  const fs::path folder = run_dir / "launch", file = folder / "job.sbatch";
  // The job's own copy: what waits in the queue does not change with the file it came from.
  WriteFileAtomically(folder / "config.yaml", parsed.config.ResolvedYaml());
  WriteFileAtomically(file, text);
  const ProgramAnswer answer = Ask({"sbatch", "--parsable", file.string()}, Errors::kOnStderr);
  if (answer.status != 0) {
    throw MachineError("sbatch ", file.string(), " ended with status ", answer.status,
                       "; its words are above");
  }
  const std::string job = answer.text.substr(0, answer.text.find(';'));
  if (!IsNumber(job)) {
    throw MachineError("sbatch --parsable printed '", answer.text,
                       "'; expected the number of a job. squeue says whether there is one now");
  }
  WriteFileAtomically(JobFile(run_dir), job + "\n");
  if (parsed.json) {
    std::cout << nlohmann::json{{"job", job},
                                {"batch_file", file.string()},
                                {"log", LogOf(run_dir, job).string()}}
              << "\n";
  } else {
    std::cout << "job " << job << "\n";
  }
  LogInfo("submitted ", file.string(), "; flame launch --status ", parsed.config.run.dir.string(),
          " says how it is");
  return 0;
}

int Launch(const OwnOptions& options, bool dry_run) {
  const ConfigArguments parsed = ParseConfigArguments(options.rest, kUsage, "COMMAND");
  if (parsed.help) return 0;
  const std::vector<std::string>& commands = LaunchCommands();
  if (std::find(commands.begin(), commands.end(), parsed.word) == commands.end()) {
    throw UsageError("flame launch ", parsed.word,
                     ": expected pipeline, classifier, list or grpo; see flame launch --help");
  }
  if (!options.values.contains("--time")) {
    throw UsageError("--time is missing: how long the job may take, as 12:00:00");
  }
  const BatchRequest request{parsed.word,
                             CountOf(options, "--nodes"),
                             CountOf(options, "--gpus-per-node"),
                             options.values.at("--time"),
                             parsed.log_level,
                             parsed.trace};
  const BatchLayout layout = LayOut(parsed.config, request);
  const fs::path run_dir = fs::absolute(parsed.config.run.dir).lexically_normal();
  const std::string text =
      BatchFile(parsed.config, request, layout, FlameProgram(), run_dir, fs::current_path());
  const auto memory = options.values.find("--gpu-memory");
  CheckFits(parsed.config, request, layout,
            memory == options.values.end() ? 0 : ParseAmount(memory->first, memory->second));
  CheckStagesBefore(parsed.config, request.command);
  if (!dry_run) return Submit(parsed, run_dir, text);
  if (parsed.json) throw UsageError("--dry-run prints the batch file; expected no --json with it");
  std::cout << text;
  return 0;
}

}  // namespace

int RunLaunch(const Arguments& arguments) {
  Arguments words = arguments;
  const bool dry_run = std::erase(words, "--dry-run") > 0;
  const OwnOptions options = SeparateOptions(
      words, "launch",
      {"--nodes", "--gpus-per-node", "--time", "--gpu-memory", "--status", "--logs", "--cancel"});
  for (const char* name : {"--status", "--logs", "--cancel"}) {
    const auto given = options.values.find(name);
    if (given == options.values.end()) continue;
    const bool status = given->first == "--status";
    const bool json = status && options.rest == Arguments{"--json"};
    if (dry_run || options.values.size() > 1 || !(json || options.rest.empty())) {
      throw UsageError(name, " takes a run's folder and nothing else", status ? " but --json" : "");
    }
    if (status) return Status(fs::absolute(given->second).lexically_normal(), json);
    return given->first == "--logs" ? Logs(given->second) : Cancel(given->second);
  }
  return Launch(options, dry_run);
}

}  // namespace flame
