// Which config keys a result depends on. Every key is the own input of at least one stage, or
// changes no result; a test fails on a key that is neither or both.
#ifndef FLAME_LAUNCH_RUN_STAGE_KEYS_H_
#define FLAME_LAUNCH_RUN_STAGE_KEYS_H_

#include <string>
#include <vector>

namespace flame {

// "prepare", "classifier", "tasks", "list", "grpo", "evaluate", in their order.
const std::vector<std::string>& StageNames();

// Keys that change no result: where a run lies, what memory it takes, where and on how many ranks
// it computes, when it saves. They never make a stage stale nor bar a resume. Sums may be taken in
// another order under some of them, so that last bits differ.
const std::vector<std::string>& KeysThatChangeNoResult();

// The keys, sorted, that the own result of `stage` depends on; what it has from earlier stages
// depends on theirs.
std::vector<std::string> ResultKeys(const std::string& stage);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_STAGE_KEYS_H_
