// What a step of a stage works on: its families, of the run's corpus and tasks where they are
// there, else of stated lengths.
#ifndef FLAME_LAUNCH_PLAN_WORK_H_
#define FLAME_LAUNCH_PLAN_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/plan/memory.h"
#include "launch/run/config.h"

namespace flame {

struct StageWork {
  std::vector<std::string> basis;  // where the lengths come from, a sentence each
  int64_t steps = 0;               // of the training; 0 where that is not known yet
  PassShape largest;               // micro-batch of a learner
  // Of a step, over all learners: T, Q, N, passes of a learner, and pairs of a query and a key.
  double tokens = 0, asked = 0, targets = 0, passes = 0, pairs = 0;
  double busiest_tokens = 0;  // of the learner with the most
  // grpo: a rollout rank's prompts at a time, the longest, and tokens of the most that are computed
  // together; a step's prompt tokens and those sampled, over all ranks.
  int64_t prompts = 0, longest_prompt = 0, prefill_tokens = 0;
  double prompt_tokens = 0, sampled_tokens = 0;
};

// The first steps of `stage` (classifier, list or grpo) as they would run, those of the run's
// corpus and tasks where they are there. `rollouts`: ranks that share a step's prompts.
StageWork WorkOf(const Config& config, const std::string& stage, int64_t learners,
                 int64_t rollouts);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_WORK_H_
