// Which config keys a result depends on. A key that KeysThatChangeNoResult names is an input of no
// stage, even if its section is. A test fails on a key that is in neither list: neither named there
// nor in the ResultKeys of a stage.
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

// Returns the keys, sorted, that are inputs of the stage itself. What it reads from earlier stages
// depends on their keys too.
std::vector<std::string> ResultKeys(const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_KEYS_H_
