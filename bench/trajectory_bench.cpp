// Measures MB/s of writing and reading trajectory shards against a plain copy of the same bytes to
// the same disk, synced like the shard. Also measures the seconds for the shards of a step at the
// authors' 8B settings, in the parts of four rollout ranks, one after the other. As JSON:
//   ninja -C build trajectory_bench && build/bench/trajectory_bench FOLDER
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/random.h"
#include "bench/measure.h"
#include "rollout/client.h"
#include "rollout/trajectory.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int kMembers = 8, kSteps = 20, kRepeats = 5;

std::vector<Group> MakeGroups(size_t count, int prompt, int tokens) {
  RandomStream random(1);
  std::vector<Group> groups(count);
  for (Group& group : groups) {
    for (int i = 0; i < prompt; ++i)
      group.prompt.push_back(static_cast<int32_t>(random.Below(128000)));
    group.members.resize(kMembers);
    for (Trajectory& member : group.members) {
      for (int i = 0; i < tokens; ++i) {
        member.tokens.push_back(static_cast<int32_t>(random.Below(128000)));
        member.logprobs.push_back(static_cast<float>(random.Normal()));
        member.verdict.step_of_token.push_back(static_cast<int16_t>(1 + i * kSteps / tokens));
      }
      for (auto* phi : {&member.verdict.phi, &member.verdict.phi_jaccard, &member.verdict.phi_ddi,
                        &member.verdict.phi_refusal}) {
        for (int n = 0; n <= kSteps; ++n) phi->push_back(static_cast<float>(random.Normal()));
      }
      member.verdict.state.assign(kSteps + 1, 0);
      for (int32_t drug = 0; drug < 20; ++drug) member.verdict.final_list.push_back(7 * drug);
    }
  }
  return groups;
}

void CopySynced(const std::string& bytes, const fs::path& to) {
  const int file = open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
  size_t written = 0;
  while (file >= 0 && written < bytes.size()) {
    const ssize_t size = write(file, bytes.data() + written, bytes.size() - written);
    if (size <= 0) break;
    written += static_cast<size_t>(size);
  }
  const bool whole = file >= 0 && written == bytes.size() && fsync(file) == 0;
  if (file >= 0) close(file);
  if (!whole) throw MachineError(to.string(), ": cannot write");
}

nlohmann::json Throughput(const fs::path& folder) {
  const std::vector<Group> groups = MakeGroups(2048, /*prompt=*/600, /*tokens=*/200);
  const fs::path shard = folder / "bench-shard.h5", copy = folder / "bench-copy";
  WriteShard(groups, {1, 0, 0, "bench"}, shard);
  const std::string bytes = ReadWholeFile(shard);
  const std::vector<double> seconds = MedianSeconds(
      {[&] {
         WriteShard(groups, {1, 0, 0, "bench"}, shard);
       },
       [&] { CopySynced(bytes, copy); }, [&] { ReadShard(shard); }, [&] { ReadWholeFile(copy); }},
      kRepeats);
  fs::remove(shard);
  fs::remove(copy);
  const auto rate = [&](double s) { return static_cast<double>(bytes.size()) / 1e6 / s; };
  return {{"what", "2048 groups of 8 completions of 200 tokens, 20 steps"},
          {"megabytes", static_cast<double>(bytes.size()) / 1e6},
          {"write_mb_per_second", rate(seconds[0])},
          {"copy_mb_per_second", rate(seconds[1])},
          {"read_mb_per_second", rate(seconds[2])},
          {"plain_read_mb_per_second", rate(seconds[3])}};
}

// Measures 32 x 2 tasks of 8 completions, each of the greatest length.
nlohmann::json StepAt8B(const fs::path& folder) {
  constexpr size_t kGroups = 64;
  RolloutRequest request;
  for (size_t i = 0; i < kGroups; ++i) request.task_ids.push_back(i), request.tasks.push_back(i);
  const std::vector<Group> groups = MakeGroups(kGroups, /*prompt=*/2048, /*tokens=*/512);
  std::vector<std::vector<Group>> parts;
  std::vector<fs::path> shards;
  size_t begin = 0;
  for (const RolloutRequest& part :
       CutRequest(request, std::vector<int64_t>(kGroups, 2048), /*ranks=*/4)) {
    const auto from = groups.begin() + static_cast<std::ptrdiff_t>(begin);
    begin += part.tasks.size();
    parts.emplace_back(from, groups.begin() + static_cast<std::ptrdiff_t>(begin));
    shards.push_back(folder / StrCat("bench-part-", parts.size(), ".h5"));
  }
  const std::vector<double> seconds =
      MedianSeconds({[&] {
                       for (size_t p = 0; p < parts.size(); ++p) {
                         WriteShard(parts[p], {1, 0, 0, "bench"}, shards[p]);
                       }
                     },
                     [&] {
                       for (const fs::path& shard : shards) ReadShard(shard);
                     }},
                    kRepeats);
  uintmax_t bytes = 0;
  for (const fs::path& shard : shards) bytes += fs::file_size(shard), fs::remove(shard);
  return {{"what", "64 groups of 8 completions of 512 tokens, prompts of 2048"},
          {"shards", shards.size()},
          {"megabytes", static_cast<double>(bytes) / 1e6},
          {"write_seconds", seconds[0]},
          {"read_seconds", seconds[1]}};
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
  nlohmann::json report = flame::Throughput(folder);
  report["step_at_8b"] = flame::StepAt8B(folder);
  std::cout << report << "\n";
  return 0;
}
