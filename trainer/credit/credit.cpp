#include "trainer/credit.h"

#include <cmath>

#include "base/error.h"

namespace flame {
namespace {

struct Spread {
  double mean = 0, std = 0;
};

Spread RewardSpread(const std::vector<const Verdict*>& group) {
  Spread spread;
  for (const Verdict* verdict : group) spread.mean += verdict->reward;
  spread.mean /= static_cast<double>(group.size());
  if (group.size() < 2) return spread;
  double squares = 0;
  for (const Verdict* verdict : group) {
    const double distance = verdict->reward - spread.mean;
    squares += distance * distance;
  }
  spread.std = std::sqrt(squares / static_cast<double>(group.size() - 1));
  return spread;
}

// Returns gamma * phi(n) - phi(n - 1) for the step n of the token; 0 if it belongs to no step.
double StepDifference(const Verdict& verdict, size_t token, double gamma) {
  const int16_t step = verdict.step_of_token[token];
  if (step == -1) return 0;
  if (step < 1 || static_cast<size_t>(step) >= verdict.phi.size()) {
    throw DataError("verdict: token ", token, " belongs to step ", step, "; expected -1 or 1..",
                    static_cast<int64_t>(verdict.phi.size()) - 1);
  }
  return gamma * verdict.phi[step] - verdict.phi[step - 1];
}

}  // namespace

void CreditOptions::Bind(ConfigSchema* schema) {
  schema->Number("credit.lambda", &lambda, {.low = 0},
                 "weight of the step differences of phi; 0: standard GRPO");
  schema->Number("credit.gamma", &gamma, {.low = 0, .high = 1}, "discount of the next state's phi");
  schema->Choice(
      "credit.scale_steps", &scale_steps, {"none", "group"},
      "group: step differences are also divided by the standard deviation of the group's rewards");
  schema->Number("credit.epsilon", &epsilon, {.low = 0, .low_open = true},
                 "added to the standard deviation of a group's rewards");
}

Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options) {
  if (group.empty()) throw DataError("advantages: expected at least one completion, found none");
  const Spread spread = RewardSpread(group);
  const bool scale = options.scale_steps == "group" && spread.std > options.epsilon;
  const double step_weight = options.lambda / (scale ? spread.std + options.epsilon : 1.0);
  Advantages result;
  result.reward_mean = static_cast<float>(spread.mean);
  result.reward_std = static_cast<float>(spread.std);
  for (const Verdict* verdict : group) {
    const double outcome =
        group.size() < 2 ? 0 : (verdict->reward - spread.mean) / (spread.std + options.epsilon);
    std::vector<float> tokens(verdict->step_of_token.size());
    for (size_t t = 0; t < tokens.size(); ++t) {
      tokens[t] =
          static_cast<float>(outcome + step_weight * StepDifference(*verdict, t, options.gamma));
    }
    result.tokens.push_back(std::move(tokens));
  }
  return result;
}

}  // namespace flame
