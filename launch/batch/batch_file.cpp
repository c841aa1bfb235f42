#include "launch/batch/batch_file.h"

#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/program_files.h"

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
  return {{"prepare" + level, 1},
          {"encode" + options, layout.gpu_ranks},
          classifier,
          {"tasks" + level, 1},
          list,
          grpo,
          {"evaluate" + level, 1}};
}

// The most ranks that run on one node.
int64_t RanksPerNode(const BatchRequest& request, const BatchLayout& layout) {
  std::vector<int64_t> ranks(request.nodes);
  for (const int node : layout.node_of_rank) ++ranks[node];
  return *std::max_element(ranks.begin(), ranks.end());
}

using Values = std::map<std::string, std::string>;

// The template with each @NAME@ replaced by its value; a line with a value that is empty is left
// out. Throws MachineError on a name without a value: the template belongs to another version.
std::string Filled(const std::filesystem::path& file, const Values& values) {
  static const std::regex name("@([A-Z_]+)@");
  std::istringstream lines(ReadWholeFile(file));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    std::string filled;
    bool kept = true;
    auto rest = line.cbegin();
    for (std::sregex_iterator match(line.begin(), line.end(), name), end; match != end; ++match) {
      const auto value = values.find((*match)[1]);
      if (value == values.end()) {
        throw MachineError(file.string(), ": ", match->str(), " has no value in this program");
      }
      filled.append(rest, (*match)[0].first);
      filled += value->second;
      rest = (*match)[0].second;
      kept = kept && !value->second.empty();
    }
    filled.append(rest, line.cend());
    if (kept) text += filled + "\n";
  }
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
  std::string nodes, steps;
  for (const int node : layout.node_of_rank) nodes += StrCat(nodes.empty() ? "" : " ", node);
  for (const Step& step : StepsOf(request, layout)) {
    steps += StrCat(steps.empty() ? "" : "\n", "step ", step.ranks, " ", step.words);
  }
  const int64_t cores = config.run.threads > 0 ? config.run.threads : kCoresOfARank;
  const bool gpus = config.model.device != "cpu";
  return Filled(ShareFolder() / "slurm" / "launch.sbatch.in",
                {{"COMMAND", request.command},
                 {"NODES", StrCat(request.nodes)},
                 {"RANKS_PER_NODE", StrCat(RanksPerNode(request, layout))},
                 {"CORES", StrCat(cores)},
                 {"GPUS_PER_NODE", gpus ? StrCat(request.gpus_per_node) : ""},
                 {"TIME", request.time},
                 {"WORKING_DIRECTORY", working_directory.string()},
                 {"FOLDER", (run_dir / "launch").string()},
                 {"NODE_OF_RANK", nodes},
                 {"PROGRAM", program.string()},
                 {"STEPS", steps}});
}

}  // namespace flame
