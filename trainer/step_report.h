// One optimizer step as metrics.jsonl reports it.
#ifndef FLAME_TRAINER_STEP_REPORT_H_
#define FLAME_TRAINER_STEP_REPORT_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "trainer/grpo/reward_report.h"

namespace flame {

// Means are over the step's completions on all ranks unless said otherwise; seconds are wall time
// of rank 0.
struct StepReport {
  int64_t step = 0;            // updates done, this one included: from 1; its shards say step - 1
  int64_t policy_version = 0;  // of the weights that sampled
  double reward_mean = 0, reward_std = 0;  // R_i; std within groups, averaged over groups
  double phi_jaccard = 0, phi_ddi = 0, phi_refusal = 0;  // at the last state
  double advantage_std = 0;                              // over trained tokens
  double loss = 0, kl = 0, clip_fraction = 0;  // kl and clip_fraction: means over trained tokens
  double entropy = 0;                          // mean over trained tokens, before the update
  double grad_norm = 0;                        // before clipping
  double learning_rate = 0;
  double sample_mismatch_max = 0;  // max |sampled - recomputed log-probability|
  // Of tokens that an older policy sampled: mean weight of the truncated importance correction and
  // the share that was truncated; 1 and 0 on-policy.
  double importance_mean = 1, importance_truncated = 0;
  int64_t parts = 0, parts_retried = 0, parts_reused = 0;  // shards of the step
  int64_t reward_retries = 0;                              // as RolloutReply
  int64_t tokens_trained = 0, tokens_sampled = 0;
  double seconds = 0, seconds_rollout = 0, seconds_reward = 0, seconds_learn = 0, seconds_sync = 0;
  double seconds_wait = 0;          // that learner 0 waited for the step's rollouts
  double seconds_rollout_idle = 0;  // that rollout ranks had nothing to do, their mean
  int64_t sync_bytes = 0;           // handed to every rollout rank
  RewardReport rewards;
  std::map<std::string, int64_t> unmatched;  // lines that name no known drug, and how often
};

nlohmann::json ToJson(const StepReport& report);  // adds tokens_per_second: trained / seconds

}  // namespace flame

#endif  // FLAME_TRAINER_STEP_REPORT_H_
