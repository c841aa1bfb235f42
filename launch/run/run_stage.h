// A stage of the pipeline as a command or the pipeline runs it: on all ranks, recorded by the
// first.
#ifndef FLAME_LAUNCH_RUN_RUN_STAGE_H_
#define FLAME_LAUNCH_RUN_RUN_STAGE_H_

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "launch/config/config.h"
#include "launch/run/stage.h"

namespace flame {

// Returns a stage that depends on the outputs of the stages `earlier`. The caller sets `make`.
// Throws DataError unless each of them is done and was made with this config.
Stage StageOf(const Config& config, const std::string& name,
              std::vector<std::filesystem::path> outputs, const std::vector<std::string>& earlier);

// Returns the stages before the classifier's, followed by `more`. `reads_encoders`: encoders count
// even if they give no slot its vectors.
std::vector<std::string> EarlierStages(const Config& config, const std::vector<std::string>& more,
                                       bool reads_encoders = false);

bool IsFirst(Communicator* world);  // true on rank 0 and in a process alone

// Runs a stage on all ranks; only rank 0 reads and writes the stage's record. Writes config.yaml,
// so that it has the config of the last stage that ran. `on_device`: this rank computes on
// model.device.
void RunStageOf(const Config& config, Stage stage, Communicator* world, bool on_device = true);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_RUN_STAGE_H_
