// The work of a stage's steps: their families, from the run's corpus and tasks if they exist, else
// of assumed lengths.
#ifndef FLAME_LAUNCH_PLAN_WORK_H_
#define FLAME_LAUNCH_PLAN_WORK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/config.h"
#include "launch/plan/memory.h"

namespace flame {

struct StageWork {
  std::vector<std::string> basis;  // sources of the lengths, one phrase each
  int64_t steps = 0;               // steps of the training; 0 if not known yet
  PassShape largest;               // the largest micro-batch of a learner
  // Means per step: T, Q and N of FamilyBatch over all learners; passes of each learner; pairs of a
  // query and a key over all learners.
  double tokens = 0, asked = 0, targets = 0, passes = 0, pairs = 0;
  double busiest_tokens = 0;  // mean tokens per step of the learner with the most
  // GRPO only: the most prompts of a rollout rank in a step, tokens of the longest prompt, and the
  // most prompt tokens that are computed together.
  int64_t prompts = 0, longest_prompt = 0, prefill_tokens = 0;
  double prompt_tokens = 0, sampled_tokens = 0;  // GRPO only: per step, over all ranks
};

// Walks the first steps of `stage` (classifier, list or grpo) as they would run, with the run's
// corpus and tasks if they exist. `rollouts` is the number of ranks that share a step's prompts.
StageWork WorkOf(const Config& config, const std::string& stage, int64_t learners,
                 int64_t rollouts);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_WORK_H_
