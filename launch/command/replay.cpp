// flame replay: trains from recorded shards alone.
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "base/log.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"
#include "launch/config/stage_inputs.h"
#include "launch/run/device.h"
#include "launch/run/grpo_roles.h"
#include "launch/run/run_materials.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"
#include "rollout/trajectory.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The columns by which the losses of a step are compared.
constexpr const char* kCompared[] = {"loss",    "kl",          "grad_norm",    "clip_fraction",
                                     "entropy", "reward_mean", "advantage_std"};

using Shards = std::map<int64_t, std::vector<fs::path>>;  // by step, in order of parts

Shards FindShards(const fs::path& folder, int64_t steps) {
  std::set<fs::path> files;
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) files.insert(entry.path());
  }
  Shards shards;
  for (const fs::path& file : files) {
    long long step = 0, part = 0;
    int end = 0;
    const std::string name = file.filename().string();
    const bool shard =
        std::sscanf(name.c_str(), "step-%lld-part-%lld.h5%n", &step, &part, &end) == 2 &&
        end == static_cast<int>(name.size());
    if (shard && step < steps) shards[step].push_back(file);
  }
  for (int64_t step = 0; step < steps; ++step) {
    if (!shards.contains(step)) {
      throw DataError(folder.string(), ": no shard of step ", step,
                      "; expected those of steps 0 to ", steps - 1, " (grpo.steps)");
    }
  }
  return shards;
}

// Reads every shard once, so that a damaged one is found before anything is trained. True where
// all were recorded under `inputs`.
bool CheckShards(const Shards& shards, uint64_t seed, const std::string& inputs) {
  bool same = true;
  for (const auto& [step, files] : shards) {
    for (const fs::path& file : files) {
      ShardInfo info;
      ReadShard(file, &info);
      if (info.seed != static_cast<int64_t>(seed) || info.step != step) {
        throw DataError(file.string(), ": of step ", info.step, " under run.seed ", info.seed,
                        "; expected step ", step, " under run.seed ", seed);
      }
      same = same && info.config_sha256 == inputs;
    }
  }
  return same;
}

// Gives what lies there.
class RecordedRollouts : public RolloutClient {
 public:
  explicit RecordedRollouts(const Shards* shards) : shards_(shards) {}
  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    std::vector<RolloutReply> replies;
    for (const fs::path& file : shards_->at(request.step)) {
      RolloutReply reply;
      reply.shard = file;
      reply.reused = true;
      replies.push_back(reply);
    }
    return replies;
  }
  void Sync(const PolicyVersion&) override {}

 private:
  const Shards* shards_;
};

std::vector<json> Rows(const fs::path& file) {
  std::vector<json> rows;
  std::istringstream lines(fs::exists(file) ? ReadWholeFile(file) : "");
  for (std::string line; std::getline(lines, line);) rows.push_back(json::parse(line));
  return rows;
}

// {"steps", "equal", "first_difference": null or {"step", "key", "recorded", "replayed"}}
json Compare(const fs::path& recorded, const fs::path& replayed) {
  const std::vector<json> before = Rows(recorded / "metrics.jsonl");
  const std::vector<json> now = Rows(replayed / "metrics.jsonl");
  const size_t steps = std::min(before.size(), now.size());
  size_t equal = 0;
  json first;
  for (size_t i = 0; i < steps; ++i) {
    bool same = true;
    for (const char* key : kCompared) {
      if (before[i].at(key) == now[i].at(key)) continue;
      same = false;
      if (first.is_null()) {
        first = {{"step", now[i].at("step")},
                 {"key", key},
                 {"recorded", before[i].at(key)},
                 {"replayed", now[i].at(key)}};
      }
    }
    equal += same ? 1 : 0;
  }
  return {{"steps", steps}, {"equal", equal}, {"first_difference", first}};
}

void Tell(const json& result, bool same_settings) {
  std::cout << result.at("equal") << " of " << result.at("steps")
            << " steps are as recorded, bit for bit";
  const json& first = result.at("first_difference");
  if (!first.is_null()) {
    std::cout << "; the first that is not is step " << first.at("step") << ": "
              << first.at("key").get<std::string>() << " " << first.at("recorded") << " recorded, "
              << first.at("replayed") << " replayed";
  }
  if (!same_settings) std::cout << " (the settings are others than those recorded)";
  std::cout << "\n";
}

void Replay(const Config& config, const fs::path& out, bool as_json, RankSession* session) {
  const fs::path recorded = RunPaths(config.run.dir).stage("grpo");
  if (fs::weakly_canonical(out) == fs::weakly_canonical(recorded)) {
    throw UsageError("--out is the recorded run's own folder; expected another");
  }
  const std::string inputs = GrpoInputs(config);
  const Shards shards = FindShards(recorded / "rollouts", config.grpo.steps);
  const bool same = CheckShards(shards, config.run.seed, inputs);
  session->LogTo(out / "logs");
  const auto materials = MaterialsOfRun(config);
  const auto tasks = ReadListTasks(RunPaths(config.run.dir).tasks());
  Policy policy = LoadGrpoPolicy(config, materials->corpus, session->first());
  const auto lines = AllowedLines(config.grpo.sampling, *materials);
  GrpoJob job = MakeGrpoJob(config, tasks, &policy, Sha256("replay " + inputs),
                            StageSettings(config, "grpo"));
  job.lines = lines ? &*lines : nullptr;
  job.folder = out;
  RecordedRollouts rollouts(&shards);
  job.rollouts = session->first() ? &rollouts : nullptr;
  const bool alone = session->world() == nullptr || session->world()->size() == 1;
  job.learners = alone ? nullptr : session->world();
  const auto on_device =
      LearnersOnDevice(config.model.device, config.cluster.timeout, job.learners);
  job.on_device = on_device.get();
  RunGrpo(job);
  if (!session->first()) return;
  json result = Compare(recorded, out);
  result["same_settings"] = same;
  if (as_json) {
    std::cout << result << "\n";
  } else {
    Tell(result, same);
  }
  if (same && result.at("equal") != result.at("steps")) {
    LogWarning(
        "replay: bit for bit needs as many learners, threads and the kind of processor that "
        "recorded");
  }
}

}  // namespace

int RunReplay(const ParsedOptions& options) {
  const fs::path out = options.Required("out");
  const Config config = ConfigOf(options);
  // The recorded run stays as it is.
  RankSession session(config, /*logs=*/false);
  Replay(config, out, options.Has("json"), &session);
  return 0;
}

}  // namespace flame
