#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "data/corpus.h"
#include "encoders/entity_tables.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"
#include "launch/report/inspect_corpus.h"
#include "launch/report/inspect_shard.h"
#include "launch/report/run_view.h"
#include "rollout/trajectory.h"
#include "trainer/checkpoint/checkpoint.h"

namespace flame {
namespace {

using nlohmann::ordered_json;

ordered_json ShardSummary(const std::filesystem::path& path) {
  ShardInfo info;
  const std::vector<Group> groups = ReadShard(path, &info);
  int64_t members = 0, tokens = 0;
  double reward = 0;
  for (const Group& group : groups) {
    for (const Trajectory& member : group.members) {
      ++members;
      tokens += static_cast<int64_t>(member.tokens.size());
      reward += member.verdict.reward;
    }
  }
  return {{"step", info.step},
          {"rank", info.rank},
          {"seed", info.seed},
          {"num_groups", groups.size()},
          {"num_members", members},
          {"num_tokens", tokens},
          {"reward_mean", members > 0 ? reward / static_cast<double>(members) : 0.0}};
}

// The checkpoints of a stage's folder; throws DataError where one is damaged, after all are shown.
void ShowCheckpoints(const std::filesystem::path& folder, bool as_json) {
  const ordered_json report = DescribeCheckpoints(folder);
  if (report.at("checkpoints").empty()) {
    throw DataError(folder.string(),
                    ": holds no checkpoints/step-NNNNNN; expected the folder of a "
                    "stage that trains");
  }
  std::string damaged;
  if (report.at("latest_fault").is_string()) {
    damaged = StrCat("LATEST: ", report.at("latest_fault").get<std::string>());
  }
  for (const ordered_json& entry : report.at("checkpoints")) {
    const bool whole = entry.at("fault").is_null();
    if (!whole)
      damaged += StrCat(damaged.empty() ? "" : "; ", entry.at("fault").get<std::string>());
    if (as_json) continue;
    const std::string name = entry.at("name");
    std::cout << name << (report.at("latest") == name ? " (latest)" : "");
    if (whole) {
      std::cout << ": whole; " << entry.at("tensors") << " tensors, " << entry.at("bytes")
                << " bytes in " << entry.at("files") << " files of " << entry.at("ranks")
                << " learners; value " << entry.at("value") << "\n";
    } else {
      std::cout << ": damaged\n";
    }
  }
  if (as_json) std::cout << report << "\n";
  if (!damaged.empty()) throw DataError(damaged);
}

void PrintSummary(const ordered_json& summary, bool as_json) {
  if (as_json) {
    std::cout << summary << "\n";
    return;
  }
  for (const auto& [name, value] : summary.items()) std::cout << name << " " << value << "\n";
}

// The kinds of entities of a table, with the number and width of their vectors.
void InspectEntities(const std::filesystem::path& file, bool as_json) {
  ordered_json summary;
  for (const auto& [kind, table] : ReadEntities(file)) {
    summary[kind] = {{"vectors", table.vectors.size(0)}, {"dim", table.vectors.size(1)}};
  }
  PrintSummary(summary, as_json);
}

void InspectShard(const std::filesystem::path& file, const ParsedOptions& options) {
  const bool as_json = options.Has("json");
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  ShowGroups show;
  show.limit = options.Count("limit", 2, 0, kMost);
  if (options.Has("task-id")) show.task_id = options.Count("task-id", 0, 0, kMost);
  show.full = options.Has("full");
  show.color = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  PrintSummary(ShardSummary(file), as_json);
  if (as_json) return;
  std::cout << "\n";
  PrintGroups(file, show, std::cout);
}

}  // namespace

int RunInspect(const ParsedOptions& options) {
  const std::filesystem::path file = options.words[0];
  const bool as_json = options.Has("json");
  if (std::filesystem::exists(RunPaths(file).config())) {
    for (const char* option : {"visits", "visit", "leaks", "limit", "task-id", "full"}) {
      if (options.Has(option)) {
        throw UsageError("--", option, " is for a corpus or a shard, and ", file.string(),
                         " is a run's folder");
      }
    }
    const RunView run = ReadRun(file);
    std::cout << (as_json ? RunJson(run).dump() + "\n" : RunText(run));
    return 0;
  }
  if (std::filesystem::is_directory(file)) {
    ShowCheckpoints(file, as_json);
    return 0;
  }
  CheckSeal(file);
  if (Hdf5File::OpenForReading(file).Has("trajectories")) {
    InspectShard(file, options);
    return 0;
  }
  if (IsEntities(file)) {
    InspectEntities(file, as_json);
    return 0;
  }
  const Corpus corpus = ReadCorpus(file);
  if (options.Has("visits")) {
    PrintVisits(corpus, std::cout);
  } else if (options.Has("leaks")) {
    PrintLeaks(corpus, as_json, std::cout);
  } else if (options.Has("visit")) {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    PrintVisit(corpus, file, options.Count("visit", 0, 0, kMost), std::cout);
  } else {
    PrintCorpus(corpus, as_json, std::cout);
  }
  return 0;
}

}  // namespace flame
