// A stage of the pipeline: made once from its inputs, skipped while they stay the same.
#ifndef FLAME_LAUNCH_STAGE_H_
#define FLAME_LAUNCH_STAGE_H_

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace flame {

struct Stage {
  std::string name;
  std::filesystem::path run_dir;
  // The config lines and the digests of earlier outputs that the result depends on.
  std::string inputs;
  std::vector<std::filesystem::path> outputs;  // files or folders, relative to run_dir
  std::function<void(const std::string& inputs_sha256)> make;
};

// True if run_dir/.stages/NAME.json says that the outputs, all present in the recorded sizes, were
// made from these inputs.
bool IsCurrent(const Stage& stage);

// Makes the stage unless it is current; says which on the log. Outputs of other inputs are moved to
// NAME.stale-<digest> first, so that nothing of them is taken for new. The record is written last.
void RunStage(const Stage& stage);

// Digest over the outputs of a stage, from its record. Throws DataError naming the command that
// makes the stage if there is no record or an output is missing.
std::string OutputDigest(const std::filesystem::path& run_dir, const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_STAGE_H_
