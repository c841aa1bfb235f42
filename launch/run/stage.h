// A stage of the pipeline: made once from its inputs, skipped while they stay the same.
#ifndef FLAME_LAUNCH_RUN_STAGE_H_
#define FLAME_LAUNCH_RUN_STAGE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace flame {

struct Stage {
  std::string name;
  std::filesystem::path run_dir;
  // The config lines that the result depends on.
  std::string settings;
  // Those, the digests of earlier outputs and the stamps of files outside the run.
  std::string inputs;
  std::vector<std::filesystem::path> outputs;  // files or folders, relative to run_dir
  // Throws where the stage can not be made, before anything earlier is put aside; may be empty.
  std::function<void()> check;
  std::function<void(const std::string& inputs_sha256)> make;
};

// False if run_dir/.stages/NAME.json says that the outputs, all present in the recorded sizes, were
// made from these inputs; the log says that the stage is skipped. Otherwise checks, puts aside what
// other inputs left (in NAME.stale-<digest>), so that nothing of it is taken for new, and returns
// true.
bool BeginStage(const Stage& stage);
struct StageCost {
  double seconds = 0;               // of all processes that worked on it
  std::vector<int64_t> peak_bytes;  // of tensors on the computing device at a time, by rank
};

// Records the outputs and what they cost. Throws MachineError if one is missing.
void FinishStage(const Stage& stage, const StageCost& cost);
// Begin, make, finish.
void RunStage(const Stage& stage);

// Throws DataError where the stage's record says that it was made with other settings than
// `settings`. No record: nothing.
void CheckSettings(const std::filesystem::path& run_dir, const std::string& stage,
                   const std::string& settings);

// That making the stage took, from its record; 0 where there is none.
double SecondsOfStage(const std::filesystem::path& run_dir, const std::string& stage);

// Digest over the outputs of a stage, from its record. Throws DataError naming the command that
// makes the stage if there is no record or an output is missing, and naming the output if its bytes
// are not those recorded.
std::string OutputDigest(const std::filesystem::path& run_dir, const std::string& stage);

// Gives the run folder `to` every stage that is done in `from`, so that a pipeline there skips it:
// hard links of the outputs (no output is ever changed in place), copies where the file system has
// no links. Stages that `to` has from there already are left alone. Throws DataError where a file
// of a stage is missing.
void ShareStages(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_H_
