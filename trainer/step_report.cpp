#include "trainer/step_report.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace flame {

namespace {

void AddRewards(const StepReport& report, nlohmann::json* row) {
  const auto add = [&](const std::string& name, const Distribution& d) {
    row->update({{name + "_mean", d.mean},
                 {name + "_std", d.std},
                 {name + "_p10", d.p10},
                 {name + "_p50", d.p50},
                 {name + "_p90", d.p90}});
  };
  for (size_t k = 0; k < kNumTerms; ++k) {
    const std::string name = kTermNames[k];
    add("term_" + name, report.rewards.last[k]);
    add("step_" + name, report.rewards.steps[k]);
    (*row)["step_" + name + "_share"] = report.rewards.share[k];
  }
  (*row)["unmatched_share"] = report.rewards.unmatched_share;
  (*row)["groups_without_spread"] = report.rewards.groups_without_spread;
  std::vector<std::pair<std::string, int64_t>> texts(report.unmatched.begin(),
                                                     report.unmatched.end());
  std::stable_sort(texts.begin(), texts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  texts.resize(std::min<size_t>(texts.size(), 5));
  (*row)["unmatched_texts"] = nlohmann::json::array();
  for (const auto& [text, count] : texts) {
    (*row)["unmatched_texts"].push_back({{"text", text}, {"count", count}});
  }
}

}  // namespace

nlohmann::json ToJson(const StepReport& report) {
  const double rate = report.seconds > 0 ? report.tokens_trained / report.seconds : 0;
  nlohmann::json row = {{"step", report.step},
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
                        {"reward_retries", report.reward_retries},
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
  AddRewards(report, &row);
  return row;
}

}  // namespace flame
