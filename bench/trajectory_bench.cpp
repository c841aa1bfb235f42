// MB/s of writing and of reading trajectory shards beside a plain copy of the same bytes to the
// same disk, synced as the shard is, as JSON:
//   ninja -C build trajectory_bench && build/bench/trajectory_bench FOLDER
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/random.h"
#include "bench/measure.h"
#include "rollout/trajectory.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int kGroups = 2048, kMembers = 8, kTokens = 200, kPrompt = 600, kSteps = 20, kRepeats = 5;

std::vector<Group> MakeGroups() {
  RandomStream random(1);
  std::vector<Group> groups(kGroups);
  for (Group& group : groups) {
    for (int i = 0; i < kPrompt; ++i)
      group.prompt.push_back(static_cast<int32_t>(random.Below(128000)));
    group.members.resize(kMembers);
    for (Trajectory& member : group.members) {
      for (int i = 0; i < kTokens; ++i) {
        member.tokens.push_back(static_cast<int32_t>(random.Below(128000)));
        member.logprobs.push_back(static_cast<float>(random.Normal()));
        member.verdict.step_of_token.push_back(static_cast<int16_t>(1 + i * kSteps / kTokens));
      }
      for (auto* phi : {&member.verdict.phi, &member.verdict.phi_jaccard, &member.verdict.phi_ddi,
                        &member.verdict.phi_refusal}) {
        for (int n = 0; n <= kSteps; ++n) phi->push_back(static_cast<float>(random.Normal()));
      }
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

void Report(const fs::path& folder) {
  const std::vector<Group> groups = MakeGroups();
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
  std::cout << nlohmann::json{{"what", "2048 groups of 8 completions of 200 tokens, 20 steps"},
                              {"megabytes", static_cast<double>(bytes.size()) / 1e6},
                              {"write_mb_per_second", rate(seconds[0])},
                              {"copy_mb_per_second", rate(seconds[1])},
                              {"read_mb_per_second", rate(seconds[2])},
                              {"plain_read_mb_per_second", rate(seconds[3])}}
            << "\n";
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  flame::Report(argc > 1 ? argv[1] : ".");
  return 0;
}
