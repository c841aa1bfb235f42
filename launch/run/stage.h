// A stage of the pipeline: made once from its inputs, then skipped until the inputs change.
#ifndef FLAME_LAUNCH_RUN_STAGE_H_
#define FLAME_LAUNCH_RUN_STAGE_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace flame {

struct Stage {
  std::string name;
  std::filesystem::path run_dir;
  // The config lines that the result depends on.
  std::string settings;
  // The settings, the digests of earlier outputs and the stamps of files outside the run.
  std::string inputs;
  std::map<std::string, std::string> earlier;  // stages before it: OutputDigest of each
  std::vector<std::filesystem::path> outputs;  // files or folders, relative to run_dir
  // Throws if the stage cannot be made; called before earlier results are put aside. `check`
  // may be empty.
  std::function<void()> check;
  // Makes the outputs. Gets the SHA-256 of `inputs`.
  std::function<void(const std::string& inputs_sha256)> make;
};

// True if run_dir/.stages/NAME.json says that the outputs were made from these inputs and all
// outputs have the recorded sizes.
bool IsCurrent(const Stage& stage);

// Returns false, and logs that the stage is skipped, if it is current. Otherwise calls
// `check`, moves the results of other inputs to NAME.stale-<digest>, so that none of them is taken
// for new, and returns true; <digest> is the first 8 characters of the old inputs' digest. Throws
// DataError if the folder holds an unfinished training from other inputs, such as other settings.
bool BeginStage(const Stage& stage);
struct StageCost {
  double seconds = 0;               // total over all processes that worked on the stage in turn
  std::vector<int64_t> peak_bytes;  // by rank: most bytes of tensors on its computing device
};

// Records the outputs and their cost. Throws MachineError if an output is missing.
void FinishStage(const Stage& stage, const StageCost& cost);

// Throws DataError if the stage's record says that the stage was made with other settings. Does
// nothing if there is no record.
void CheckSettings(const std::filesystem::path& run_dir, const std::string& stage,
                   const std::string& settings);

// Returns the seconds that making the stage took, from its record; 0 without a record.
double SecondsOfStage(const std::filesystem::path& run_dir, const std::string& stage);

// The state of a stage in a run folder.
struct StageState {
  enum State {
    kMissing,  // not begun
    kBegun,    // begun, not finished
    kDone,
    kStale,  // made, and to be made again: `why`
  } state = kMissing;
  std::string why;
  double seconds = 0;  // that making it took
  size_t ranks = 0;    // that made it; 0: unknown
};
const char* StateName(StageState::State state);  // "not made", "begun", "done", "stale"

// Compares the stage's record with its outputs' sizes, with `settings` and with the records of the
// stages before it. Does not read the outputs. A record that cannot be read is stale.
StageState StateOfStage(const std::filesystem::path& run_dir, const std::string& stage,
                        const std::string& settings);

// Returns a digest over the outputs of a stage, from its record. Throws DataError if there is no
// record or an output is missing, naming the command that makes the stage, and if an output's bytes
// are not those recorded, naming the output.
std::string OutputDigest(const std::filesystem::path& run_dir, const std::string& stage);

// Gives the run folder `to` every stage that is done in `from`, so that a pipeline in `to` skips
// it. Outputs become hard links, since no output is ever changed in place, or copies if the file
// system has no links. Stages that `to` already shares are left alone. Throws DataError if a file
// of a stage is missing.
void ShareStages(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_H_
