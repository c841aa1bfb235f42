// What the stages of a run depend on besides each other: lines of the config, and files that it
// names.
#ifndef FLAME_LAUNCH_RUN_STAGE_INPUTS_H_
#define FLAME_LAUNCH_RUN_STAGE_INPUTS_H_

#include <filesystem>
#include <string>

#include "launch/run/config.h"

namespace flame {

// The file with the prompts' templates: prompts.file, or the one that comes with the program.
std::filesystem::path PromptFile(const Config& config);

// The config lines that the own result of a stage ("prepare", "classifier", ...) depends on. Where
// it was computed is none of them: a model that a GPU trained can be evaluated on a CPU.
std::string StageSettings(const Config& config, const std::string& stage);

// config.data; a hospital that the run makes itself lies in its own folder.
DataOptions DataOf(const Config& config);
// True where the run makes its hospital itself.
bool MakesHospital(const Config& config);

// Sizes and times of the files that the first stage reads, so that a changed one is noticed without
// reading gigabytes.
std::string InputStamps(const Config& config);

// Throws DataError where a file or folder that the config names, and a later stage would read, is
// not there.
void CheckInputs(const Config& config);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_INPUTS_H_
