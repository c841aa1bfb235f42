#include "launch/batch/batch_file.h"

#include <algorithm>
#include <regex>

#include "base/error.h"

namespace flame {
namespace {

// Cores per rank if run.threads is 0.
constexpr int64_t kCoresOfARank = 4;
constexpr int64_t kShortestJob = 600;  // seconds

// Throws UsageError on characters that need quoting: Slurm reads its own lines of the file without
// a shell's quoting, and it replaces % in log names.
void CheckPath(const char* what, const std::filesystem::path& path) {
  static const std::regex plain("[A-Za-z0-9_./+,=:@-]+");
  if (std::regex_match(path.string(), plain)) return;
  throw UsageError(what, " is '", path.string(),
                   "'; expected only letters, digits and _./+,=:@- in a batch file's paths");
}

// Parses the time as Slurm does: M, M:S, H:M:S, D-H, D-H:M or D-H:M:S; 0 means no limit. Throws
// UsageError on any other form and on less than kShortestJob.
void CheckTime(const std::string& time) {
  static const std::regex form("(?:([0-9]{1,6})-)?([0-9]{1,9})(?::([0-9]{2}))?(?::([0-9]{2}))?");
  std::smatch parts;
  if (!std::regex_match(time, parts, form)) {
    throw UsageError("--time is '", time,
                     "'; expected minutes, hours:minutes:seconds or days-hours:minutes:seconds");
  }
  const auto number = [&](int part) { return parts[part].matched ? std::stoll(parts[part]) : 0; };
  const bool hours = parts[1].matched || parts[4].matched;
  const int64_t seconds = number(1) * 86400 + (hours ? number(2) * 3600 + number(3) * 60 + number(4)
                                                     : number(2) * 60 + number(3));
  if (seconds == 0 || seconds >= kShortestJob) return;
  throw UsageError("--time is '", time, "', ", seconds, " seconds; expected at least ",
                   kShortestJob, ", since trainings are asked to save five minutes before the end");
}

struct Step {
  std::string words;
  int64_t ranks;
};

std::vector<Step> StepsOf(const BatchRequest& request, const BatchLayout& layout) {
  const std::string& command = request.command;
  const std::string level = request.log_level.empty() ? "" : " --log-level " + request.log_level;
  const std::string options = level + (request.trace ? " --trace" : "");
  const Step classifier{"sft classifier" + options, layout.gpu_ranks};
  const Step list{"sft list" + options, layout.gpu_ranks};
  std::string roles = "grpo" + options;
  if (layout.rollouts > 0) {
    roles += StrCat(" cluster.learners=", layout.learners, " cluster.rollouts=", layout.rollouts,
                    " cluster.rewards=", layout.rewards);
  }
  const Step grpo{roles, layout.gpu_ranks + layout.rewards};
  if (command == "classifier") return {classifier};
  if (command == "list") return {list};
  if (command == "grpo") return {grpo};
  return {{"prepare" + level, 1}, classifier, {"tasks" + level, 1}, list, grpo,
          {"evaluate" + level, 1}};
}

std::string Directives(const Config& config, const BatchRequest& request, const BatchLayout& layout,
                       const std::filesystem::path& run_dir,
                       const std::filesystem::path& working_directory) {
  std::vector<int64_t> ranks(request.nodes);
  for (const int node : layout.node_of_rank) ++ranks[node];
  const auto line = [](const auto&... parts) { return StrCat("#SBATCH --", parts..., "\n"); };
  std::string text;
  text += line("job-name=flame-", request.command);
  text += line("nodes=", request.nodes);
  text += line("ntasks-per-node=", *std::max_element(ranks.begin(), ranks.end()));
  text += line("cpus-per-task=", config.run.threads > 0 ? config.run.threads : kCoresOfARank);
  if (config.model.device != "cpu") text += line("gpus-per-node=", request.gpus_per_node);
  text += line("time=", request.time);
  text += "# Five minutes before the time limit a training saves, exits with 75 and is requeued.\n";
  text += line("signal=USR1@300");
  text += line("requeue");
  text += line("open-mode=append");
  text += line("chdir=", working_directory.string());
  text += line("output=", (run_dir / "launch" / "job-%j.log").string());
  return text;
}

}  // namespace

const std::vector<std::string>& LaunchCommands() {
  static const std::vector<std::string> commands = {"pipeline", "classifier", "list", "grpo"};
  return commands;
}

BatchLayout LayOut(const Config& config, const BatchRequest& request) {
  const ClusterOptions& cluster = config.cluster;
  BatchLayout layout;
  layout.gpu_ranks = request.nodes * request.gpus_per_node;
  const bool trains_lists = request.command == "grpo" || request.command == "pipeline";
  const bool counted = cluster.learners + cluster.rollouts + cluster.rewards > 0;
  if (trains_lists && cluster.placement != "colocated" && (counted || layout.gpu_ranks > 1)) {
    layout.learners = counted ? cluster.learners : layout.gpu_ranks / 2;
    layout.rollouts = counted ? cluster.rollouts : layout.gpu_ranks - layout.learners;
    layout.rewards = counted ? cluster.rewards : 1;
    if (layout.learners < 1 || layout.rollouts < 1 || layout.rewards < 1 ||
        layout.learners + layout.rollouts != layout.gpu_ranks) {
      throw UsageError("cluster.learners + cluster.rollouts must be --nodes x --gpus-per-node = ",
                       layout.gpu_ranks,
                       ", with at least one of each and of cluster.rewards; found ",
                       cluster.learners, " + ", cluster.rollouts, " and ", cluster.rewards);
    }
  }
  for (int64_t rank = 0; rank < layout.gpu_ranks; ++rank) {
    layout.node_of_rank.push_back(static_cast<int>(rank / request.gpus_per_node));
  }
  for (int64_t reward = 0; reward < layout.rewards; ++reward) {
    layout.node_of_rank.push_back(static_cast<int>(request.nodes - 1 - reward % request.nodes));
  }
  return layout;
}

std::string BatchFile(const Config& config, const BatchRequest& request, const BatchLayout& layout,
                      const std::filesystem::path& program, const std::filesystem::path& run_dir,
                      const std::filesystem::path& working_directory) {
  CheckPath("run.dir", run_dir);
  CheckPath("the working directory", working_directory);
  CheckPath("the path of flame", program);
  CheckTime(request.time);
  std::string nodes;
  for (const int node : layout.node_of_rank) nodes += StrCat(nodes.empty() ? "" : " ", node);
  const std::filesystem::path folder = run_dir / "launch";
  std::string text =
      StrCat("#!/usr/bin/env bash\n# Written by flame launch ", request.command,
             "; sbatch accepts it again unchanged.\n",
             Directives(config, request, layout, run_dir, working_directory),
             "set -euo pipefail\n\n"
             "# The node of each rank, counted from 0.\n"
             "node_of_rank=(",
             nodes,
             ")\n"
             "mapfile -t nodes < <(scontrol show hostnames \"$SLURM_JOB_NODELIST\")\n"
             "export SLURM_HOSTFILE=",
             folder.string(),
             "/hosts-$SLURM_JOB_ID\n"
             "# The barrier at the end of MPI_Init that holds between hosts (docs/clusters.md).\n"
             "export SLURM_PMIX_FENCE=ring\n\n"
             "# Runs a flame command on the first $1 ranks. The signal reaches a running command, "
             "not the gap\n"
             "# between two commands: with less than six minutes left no command is started.\n"
             "step() {\n"
             "  local ranks=$1 status=0 node end\n"
             "  end=$(scontrol show job \"$SLURM_JOB_ID\" | sed -n 's/.* EndTime=\\([0-9][^ "
             "]*\\).*/\\1/p') || true\n"
             "  if [[ $end ]] && ((SECONDS > 300 && $(date -d \"$end\" +%s) - $(date +%s) < 360)); "
             "then\n"
             "    scontrol requeue \"$SLURM_JOB_ID\"\n"
             "    exit 75\n"
             "  fi\n"
             "  for node in \"${node_of_rank[@]:0:$ranks}\"; do echo \"${nodes[node]}\"; done "
             ">\"$SLURM_HOSTFILE\"\n"
             "  srun --mpi=pmix --distribution=arbitrary --ntasks=\"$ranks\" "
             "--cpus-per-task=\"$SLURM_CPUS_PER_TASK\" \\\n"
             "    --cpu-bind=cores --kill-on-bad-exit=1 ",
             program.string(), " \"${@:2}\" \\\n    --config ", folder.string(),
             "/config.yaml || status=$?\n"
             "  # 138: the signal came before flame was ready for it.\n"
             "  if ((status == 75 || status == 138)); then scontrol requeue \"$SLURM_JOB_ID\"; fi\n"
             "  if ((status != 0)); then exit \"$status\"; fi\n"
             "}\n\n");
  for (const Step& step : StepsOf(request, layout)) {
    text += StrCat("step ", step.ranks, " ", step.words, "\n");
  }
  return text;
}

}  // namespace flame
