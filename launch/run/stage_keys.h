// Which config keys a result depends on. A key that KeysThatChangeNoResult or KeysOfInputFiles
// names is an input of no stage, even if its section is. A test fails on a key that is not in
// exactly one of three lists: these two, and the ResultKeys of the stages.
#ifndef FLAME_LAUNCH_RUN_STAGE_KEYS_H_
#define FLAME_LAUNCH_RUN_STAGE_KEYS_H_

#include <string>
#include <vector>

namespace flame {

// "prepare", "classifier", "tasks", "list", "grpo", "evaluate", in their order.
const std::vector<std::string>& StageNames();

// Keys, or whole sections, that change no result: where a run lies, what memory it takes, where and
// on how many ranks it computes, when it saves. They never make a stage stale and never prevent a
// resume. Under some of them, sums may be taken in another order, so that last bits differ.
const std::vector<std::string>& KeysThatChangeNoResult();

// Keys that name files whose contents are inputs (InputDigests), however a path to them is spelt.
const std::vector<std::string>& KeysOfInputFiles();

// Returns the keys, sorted, that are inputs of the stage itself. What it reads from earlier stages
// depends on their keys too.
std::vector<std::string> ResultKeys(const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_KEYS_H_
