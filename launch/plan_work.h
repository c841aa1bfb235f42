// What a step of a stage works on: its families, of the run's corpus and tasks where they are
// there, else of stated lengths.
#ifndef FLAME_LAUNCH_PLAN_WORK_H_
#define FLAME_LAUNCH_PLAN_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config.h"
#include "launch/plan_memory.h"

namespace flame {

struct StageWork {
  std::vector<std::string> basis;  // where the lengths come from, a sentence each
  PassShape largest;               // micro-batch of a learner
  // Of a step, over all learners: T, Q, N, micro-batches, and pairs of a query and a key.
  double tokens = 0, asked = 0, targets = 0, passes = 0, pairs = 0;
  // grpo: a step's prompts, their tokens and those sampled.
  int64_t longest_prompt = 0;
  double prompt_tokens = 0, sampled_tokens = 0;
};

// `stage`: classifier, list or grpo.
StageWork WorkOf(const Config& config, const std::string& stage, int64_t learners);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_WORK_H_
