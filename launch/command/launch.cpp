// flame launch: a job of flame on a Slurm cluster.
#include <chrono>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "launch/batch/batch_file.h"
#include "launch/batch/job.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/config/stage_inputs.h"
#include "launch/doctor/probe.h"
#include "launch/doctor/report.h"
#include "launch/plan/limits.h"
#include "launch/run/stage.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

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
  if (command != "pipeline" && config.encoders.TrainsAny()) before.push_back("encode");
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
    if (!check.passed) faults += StrCat("\n  ", check.name, ": ", check.found, "; ", check.fix);
  }
  if (!faults.empty()) {
    throw MachineError("not submitted: flame doctor finds here what would fail in the job", faults);
  }
}

void CheckNoOtherJob(const fs::path& run_dir) {
  if (!fs::exists(JobFile(run_dir))) return;
  const std::string job = JobOf(run_dir);
  if (AtWork(StateOfJob(job))) {
    throw UsageError("run.dir ", run_dir.string(), " has a job at work, ", job,
                     "; flame launch --cancel ends it");
  }
}

int Submit(const Config& config, const fs::path& run_dir, const std::string& text, bool as_json) {
  CheckNoOtherJob(run_dir);
  CheckHost(run_dir);
  const fs::path folder = run_dir / "launch", file = folder / "job.sbatch";
  // The job's own copy: what waits in the queue does not change with the file it came from.
  WriteFileAtomically(folder / "config.yaml", config.ResolvedYaml());
  WriteFileAtomically(file, text);
  const ProgramAnswer answer = AskSlurm({"sbatch", "--parsable", file.string()}, Errors::kOnStderr);
  if (answer.status != 0) {
    throw MachineError("sbatch ", file.string(), " ended with status ", answer.status,
                       "; its words are above");
  }
  const std::string job = answer.text.substr(0, answer.text.find(';'));
  if (!IsJobNumber(job)) {
    throw MachineError("sbatch --parsable printed '", answer.text,
                       "'; expected the number of a job. squeue says whether there is one now");
  }
  WriteFileAtomically(JobFile(run_dir), job + "\n");
  if (as_json) {
    std::cout << nlohmann::json{{"job", job},
                                {"batch_file", file.string()},
                                {"log", JobLog(run_dir, job).string()}}
              << "\n";
  } else {
    std::cout << "job " << job << "\n";
  }
  LogInfo("submitted ", file.string(), "; flame launch --status ", config.run.dir.string(),
          " says how it is");
  return 0;
}

}  // namespace

int RunLaunch(const ParsedOptions& options) {
  if (options.words.empty()) {
    throw UsageError(
        "no COMMAND is given; expected pipeline, classifier, list or grpo; see flame "
        "launch --help");
  }
  constexpr int64_t kMostRanks = 10000;
  const Config config = ConfigOf(options);
  const BatchRequest request{options.words[0],
                             options.Count("nodes", 1, 1, kMostRanks),
                             options.Count("gpus-per-node", 1, 1, kMostRanks),
                             options.Required("time"),
                             options.Text("log-level"),
                             options.Has("trace")};
  const BatchLayout layout = LayOut(config, request);
  const fs::path run_dir = fs::absolute(config.run.dir).lexically_normal();
  const std::string text =
      BatchFile(config, request, layout, FlameProgram(), run_dir, fs::current_path());
  const double memory =
      options.Has("gpu-memory") ? ParseAmount("--gpu-memory", options.Text("gpu-memory")) : 0;
  CheckFits(config, request, layout, memory);
  CheckStagesBefore(config, request.command);
  if (!options.Has("dry-run")) return Submit(config, run_dir, text, options.Has("json"));
  if (options.Has("json")) {
    throw UsageError("--dry-run prints the batch file; expected no --json with it");
  }
  std::cout << text;
  return 0;
}

}  // namespace flame
