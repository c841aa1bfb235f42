// The distributions of phi's terms over a step's completions: they show which term the policy
// learns from.
#ifndef FLAME_TRAINER_GRPO_REWARD_REPORT_H_
#define FLAME_TRAINER_GRPO_REWARD_REPORT_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "reward/options.h"
#include "rollout/trajectory.h"

namespace flame {

// Statistics of a set of numbers; all 0 for an empty set. Quantiles are by nearest rank.
struct Distribution {
  double mean = 0, std = 0, p10 = 0, p50 = 0, p90 = 0;
};
Distribution DistributionOf(std::vector<double> numbers);

// The terms of phi, weighted as in phi: Jaccard, -alpha * DDI rate, -beta * refusal.
inline constexpr size_t kNumTerms = 3;
inline constexpr std::array<const char*, kNumTerms> kTermNames = {"jaccard", "ddi", "refusal"};

struct RewardReport {
  std::array<Distribution, kNumTerms> last;   // the term at the last state of each completion
  std::array<Distribution, kNumTerms> steps;  // its differences between neighbouring states
  std::array<double, kNumTerms> share{};      // its share of the sum of all absolute differences
  double unmatched_share = 0;                 // share of lines that name no known drug
  int64_t groups_without_spread = 0;          // groups with equal rewards, which teach nothing
};
RewardReport ReportOf(const std::vector<Group>& groups, const RewardOptions& reward);

// Returns a warning if a term other than Jaccard makes up more than half of phi's absolute
// differences, or if more than half of the groups have no spread; otherwise "".
std::string WarningOf(const RewardReport& report, int64_t num_groups);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_REWARD_REPORT_H_
