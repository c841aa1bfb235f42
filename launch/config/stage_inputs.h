// The inputs of a run's stages other than earlier stages: lines of the config, and files that the
// config names.
#ifndef FLAME_LAUNCH_CONFIG_STAGE_INPUTS_H_
#define FLAME_LAUNCH_CONFIG_STAGE_INPUTS_H_

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "launch/config/config.h"

namespace flame {

// Returns the file with the prompt templates: prompts.file, or the one that comes with the program.
std::filesystem::path PromptFile(const Config& config);

// Returns the config lines that the result of a stage ("prepare", "classifier", ...) itself depends
// on. The device is not among them: a model that a GPU trained can be evaluated on a CPU.
std::string StageSettings(const Config& config, const std::string& stage);

// Returns config.data, with the folders of the hospital that the run makes itself, if it makes one.
DataOptions DataOf(const Config& config);
// True if the run makes its hospital itself.
bool MakesHospital(const Config& config);
// Returns the table of structures that the molecule encoder reads.
std::filesystem::path SmilesFile(const Config& config);
// Returns the files that the encoders which the run trains read, each with its key.
std::vector<std::pair<std::string, std::filesystem::path>> EncoderFiles(const Config& config);

// Throws DataError if a file or folder that the config names and a later stage would read does not
// exist.
void CheckInputs(const Config& config);

}  // namespace flame

#endif  // FLAME_LAUNCH_CONFIG_STAGE_INPUTS_H_
