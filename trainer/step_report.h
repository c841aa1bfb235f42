// One training step of GRPO as metrics.jsonl reports it.
#ifndef FLAME_TRAINER_STEP_REPORT_H_
#define FLAME_TRAINER_STEP_REPORT_H_

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "trainer/grpo/reward_report.h"

namespace flame {

// Means are over the step's completions on all ranks unless said otherwise. Seconds are wall time
// of rank 0; seconds_rollout and seconds_reward are each those of the slowest rollout rank.
struct StepReport {
  int64_t step = 0;            // steps done, including this one; its shards are numbered step - 1
  int64_t policy_version = 0;  // version of the weights that sampled
  double reward_mean = 0, reward_std = 0;  // R_i; std within groups, averaged over groups
  double phi_jaccard = 0, phi_ddi = 0, phi_refusal = 0;  // at the last state
  double advantage_std = 0;                              // over trained tokens
  // Means over the step's passes (grpo.iterations). loss: the sum of weighted token losses over all
  // ranks (ClippedSurrogate, trainer/losses.h). kl and clip_fraction: means over trained tokens.
  double loss = 0, kl = 0, clip_fraction = 0;
  double entropy = 0;    // mean over trained tokens, before the update
  double grad_norm = 0;  // before clipping
  double learning_rate = 0;
  double sample_mismatch_max = 0;  // max |sampled - recomputed log-probability|
  // Truncated importance correction of tokens that an older policy sampled: mean weight, and share
  // of tokens truncated; 1 and 0 on-policy.
  double importance_mean = 1, importance_truncated = 0;
  int64_t parts = 0, parts_retried = 0, parts_reused = 0;  // shards of the step
  int64_t reward_retries = 0;                              // see RolloutReply (rollout/client.h)
  int64_t tokens_trained = 0, tokens_sampled = 0;
  double seconds = 0, seconds_rollout = 0, seconds_reward = 0, seconds_learn = 0, seconds_sync = 0;
  double seconds_wait = 0;          // learner 0's wait for the step's rollouts, or its making them
  double seconds_rollout_idle = 0;  // idle time of a rollout rank, mean over rollout ranks
  int64_t sync_bytes = 0;           // bytes sent to each rollout rank
  RewardReport rewards;
  std::map<std::string, int64_t> unmatched;  // lines that name no known drug -> their number
};

// Adds tokens_per_second: trained tokens / seconds.
nlohmann::json ToJson(const StepReport& report);

}  // namespace flame

#endif  // FLAME_TRAINER_STEP_REPORT_H_
