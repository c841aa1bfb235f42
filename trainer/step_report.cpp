#include "trainer/step_report.h"

#include <nlohmann/json.hpp>

namespace flame {

nlohmann::json ToJson(const StepReport& report) {
  const double rate = report.seconds > 0 ? report.tokens_trained / report.seconds : 0;
  return {{"step", report.step},
          {"policy_version", report.policy_version},
          {"reward_mean", report.reward_mean},
          {"reward_std", report.reward_std},
          {"phi_jaccard", report.phi_jaccard},
          {"phi_ddi", report.phi_ddi},
          {"phi_refusal", report.phi_refusal},
          {"advantage_std", report.advantage_std},
          {"loss", report.loss},
          {"kl", report.kl},
          {"clip_fraction", report.clip_fraction},
          {"entropy", report.entropy},
          {"grad_norm", report.grad_norm},
          {"learning_rate", report.learning_rate},
          {"sample_mismatch_max", report.sample_mismatch_max},
          {"importance_mean", report.importance_mean},
          {"importance_truncated", report.importance_truncated},
          {"parts", report.parts},
          {"parts_retried", report.parts_retried},
          {"parts_reused", report.parts_reused},
          {"tokens_trained", report.tokens_trained},
          {"tokens_sampled", report.tokens_sampled},
          {"tokens_per_second", rate},
          {"seconds", report.seconds},
          {"seconds_rollout", report.seconds_rollout},
          {"seconds_reward", report.seconds_reward},
          {"seconds_learn", report.seconds_learn},
          {"seconds_sync", report.seconds_sync},
          {"seconds_wait", report.seconds_wait},
          {"seconds_rollout_idle", report.seconds_rollout_idle},
          {"sync_bytes", report.sync_bytes}};
}

}  // namespace flame
