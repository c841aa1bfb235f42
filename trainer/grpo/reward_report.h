// How the parts of phi are spread over a step's completions, to see which of them the policy learns
// from.
#ifndef FLAME_TRAINER_GRPO_REWARD_REPORT_H_
#define FLAME_TRAINER_GRPO_REWARD_REPORT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reward/options.h"
#include "rollout/trajectory.h"

namespace flame {

// Of numbers; all 0 where there are none. Quantiles are the nearest rank's.
struct Distribution {
  double mean = 0, std = 0, p10 = 0, p50 = 0, p90 = 0;
};
Distribution DistributionOf(std::vector<double> numbers);

// phi's terms, weighted as in phi: Jaccard, -alpha * DDI rate, -beta * refusal.
inline constexpr size_t kNumTerms = 3;
inline constexpr std::array<const char*, kNumTerms> kTermNames = {"jaccard", "ddi", "refusal"};

struct RewardReport {
  std::array<Distribution, kNumTerms> last;   // at the last state of each completion
  std::array<Distribution, kNumTerms> steps;  // differences between neighbouring states
  std::array<double, kNumTerms> share{};      // of the sum of all absolute differences
  double unmatched_share = 0;                 // lines that name no known drug
  int64_t groups_without_spread = 0;          // all of whose rewards are equal: nothing is learnt
};
RewardReport ReportOf(const std::vector<Group>& groups, const RewardOptions& reward);

// Words for a term other than Jaccard's that makes up more than half of phi's movement, or for
// groups most of which have no spread; "" where neither is so.
std::string WarningOf(const RewardReport& report, int64_t num_groups);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_REWARD_REPORT_H_
