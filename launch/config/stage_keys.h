// The config keys that a result depends on. A key in KeysThatChangeNoResult or KeysOfInputFiles is
// an input of no stage, even if its section is one. A test fails if a key is not in exactly one of
// three lists: these two, and the ResultKeys of the stages.
#ifndef FLAME_LAUNCH_CONFIG_STAGE_KEYS_H_
#define FLAME_LAUNCH_CONFIG_STAGE_KEYS_H_

#include <string>
#include <vector>

namespace flame {

// "prepare", "encode", "classifier", "tasks", "list", "grpo", "evaluate", in their order.
const std::vector<std::string>& StageNames();

// Keys, or whole sections, that change no result: where a run lies, what memory it takes, where and
// on how many ranks it computes, when it saves. They never make a stage stale and never prevent a
// resume. Under some of them, sums may be taken in another order, so that last bits differ.
const std::vector<std::string>& KeysThatChangeNoResult();

// Keys that name files whose contents are inputs (InputDigests), however their paths are spelt.
const std::vector<std::string>& KeysOfInputFiles();

// Returns the keys, sorted, that are inputs of the stage itself. Keys of earlier stages are not
// included; they act through the outputs of those stages.
std::vector<std::string> ResultKeys(const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_CONFIG_STAGE_KEYS_H_
