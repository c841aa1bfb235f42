#include "trainer/grpo/reward_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace flame {
namespace {

// Returns the weighted terms at state n.
std::array<double, kNumTerms> TermsAt(const Verdict& verdict, size_t n,
                                      const RewardOptions& reward) {
  return {verdict.phi_jaccard[n], -reward.alpha * verdict.phi_ddi[n],
          -reward.beta * verdict.phi_refusal[n]};
}

bool HasSpread(const Group& group) {
  return std::any_of(group.members.begin(), group.members.end(), [&](const Trajectory& member) {
    return member.verdict.reward != group.members.front().verdict.reward;
  });
}

int Percent(double share) { return static_cast<int>(std::lround(100 * share)); }

}  // namespace

Distribution DistributionOf(std::vector<double> numbers) {
  if (numbers.empty()) return {};
  std::sort(numbers.begin(), numbers.end());
  const auto n = static_cast<double>(numbers.size());
  Distribution d;
  for (const double x : numbers) d.mean += x / n;
  for (const double x : numbers) d.std += (x - d.mean) * (x - d.mean) / n;
  d.std = std::sqrt(d.std);
  const auto at = [&](double share) {
    return numbers[static_cast<size_t>(std::max(0.0, std::ceil(share * n) - 1))];
  };
  d.p10 = at(0.1), d.p50 = at(0.5), d.p90 = at(0.9);
  return d;
}

RewardReport ReportOf(const std::vector<Group>& groups, const RewardOptions& reward) {
  std::array<std::vector<double>, kNumTerms> last, steps;
  std::array<double, kNumTerms> moved{};
  RewardReport report;
  double lines = 0, unmatched = 0;
  for (const Group& group : groups) {
    report.groups_without_spread += HasSpread(group) ? 0 : 1;
    for (const Trajectory& member : group.members) {
      const Verdict& verdict = member.verdict;
      lines += verdict.num_lines;
      unmatched += verdict.num_refused;
      auto terms = TermsAt(verdict, 0, reward);
      for (size_t n = 1; n < verdict.phi.size(); ++n) {
        const auto next = TermsAt(verdict, n, reward);
        for (size_t k = 0; k < kNumTerms; ++k) {
          steps[k].push_back(next[k] - terms[k]);
          moved[k] += std::abs(next[k] - terms[k]);
        }
        terms = next;
      }
      for (size_t k = 0; k < kNumTerms; ++k) last[k].push_back(terms[k]);
    }
  }
  const double all = moved[0] + moved[1] + moved[2];
  for (size_t k = 0; k < kNumTerms; ++k) {
    report.last[k] = DistributionOf(std::move(last[k]));
    report.steps[k] = DistributionOf(std::move(steps[k]));
    report.share[k] = all > 0 ? moved[k] / all : 0;
  }
  report.unmatched_share = lines > 0 ? unmatched / lines : 0;
  return report;
}

std::string WarningOf(const RewardReport& report, int64_t num_groups) {
  const std::array<const char*, kNumTerms> meaning = {
      "", "lists are shortened or emptied rather than made right; lower reward.alpha",
      "the policy learns to name drugs at all rather than the right ones; train the list policy "
      "longer, or lower reward.beta"};
  for (size_t k = 1; k < kNumTerms; ++k) {
    if (report.share[k] <= 0.5) continue;
    return StrCat("the ", kTermNames[k], " term makes up ", Percent(report.share[k]),
                  " % of phi's steps, Jaccard ", Percent(report.share[0]), " %: ", meaning[k]);
  }
  const double without =
      static_cast<double>(report.groups_without_spread) / static_cast<double>(num_groups);
  if (without <= 0.5) return "";
  return StrCat(Percent(without),
                " % of the groups have equal rewards in all members, from which nothing is learnt; "
                "raise grpo.temperature or grpo.group_size");
}

}  // namespace flame
