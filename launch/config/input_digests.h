// The contents of the files that the config names and a stage, `prepare` or `encode`, reads. A
// stage's identity follows these, not the spelling of a path or the time of a file.
#ifndef FLAME_LAUNCH_CONFIG_INPUT_DIGESTS_H_
#define FLAME_LAUNCH_CONFIG_INPUT_DIGESTS_H_

#include <map>
#include <string>

#include "launch/config/config.h"

namespace flame {

// Returns for each key that names files which `stage` reads a digest of the contents of these; ""
// if they are not there; the key's value if it names none ("random"). A file is read only if its
// size or time has changed since KeepInputDigests.
std::map<std::string, std::string> InputDigests(const Config& config, const std::string& stage);

// Returns the absolute paths of the files that the config names and the stage itself reads, to tell
// runs of a sweep apart that name different files.
std::string InputPaths(const Config& config, const std::string& stage);

// Keeps the digests that the stage's outputs were made from, for CheckInputsUnchanged, and those of
// the single files with their sizes and times, in run.dir/.stages.
void KeepInputDigests(const Config& config, const std::string& stage);

// Throws DataError if a file that is still there has other contents than KeepInputDigests saw, with
// the key that names it.
void CheckInputsUnchanged(const Config& config, const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_CONFIG_INPUT_DIGESTS_H_
