#include "trainer/credit/credit.h"

#include "base/error.h"
#include "trainer/credit/normalize.h"
#include "trainer/credit/step_returns.h"

namespace flame {
namespace {

// Returns the token's step, 1..N; N + 1 if it belongs to none.
size_t StepOf(const Verdict& verdict, size_t token) {
  const int16_t step = verdict.step_of_token[token];
  if (step == -1) return verdict.phi.size();
  if (step < 1 || static_cast<size_t>(step) >= verdict.phi.size()) {
    throw DataError("verdict: token ", token, " belongs to step ", step, "; expected -1 or 1..",
                    static_cast<int64_t>(verdict.phi.size()) - 1);
  }
  return static_cast<size_t>(step);
}

// Returns gamma * phi(n) - phi(n - 1) for every step; 0 for the end.
StepValues StepDifferences(const std::vector<const Verdict*>& group, double gamma) {
  StepValues all;
  for (const Verdict* verdict : group) {
    std::vector<double> own;
    for (size_t n = 1; n < verdict->phi.size(); ++n) {
      own.push_back(gamma * verdict->phi[n] - verdict->phi[n - 1]);
    }
    own.push_back(0);
    all.push_back(std::move(own));
  }
  return all;
}

// A token's advantage is outcome * r~_i + step * steps[i][n - 1].
struct Parts {
  double outcome = 1, step = 0;
  StepValues steps;
};

Normalizer NormalizerOf(const CreditOptions& options) {
  return {options.scale_rewards == "group", options.epsilon};
}

Parts PartsOf(const std::vector<const Verdict*>& group, const CreditOptions& options,
              double reward_std) {
  if (options.scheme == "potential") {
    const bool scale = options.scale_steps == "group" && reward_std > options.epsilon;
    return {1, options.lambda / (scale ? reward_std + options.epsilon : 1.0),
            StepDifferences(group, options.gamma)};
  }
  const StepValues returns = StepReturns(group, options.gamma);
  if (options.scheme == "causal") return {0, 1, RelativeToPosition(returns, NormalizerOf(options))};
  return {1, options.lambda, RelativeToState(group, returns, NormalizerOf(options))};
}

}  // namespace

void CreditOptions::Bind(ConfigSchema* schema) {
  schema->Choice("credit.scheme", &scheme, {"potential", "causal", "anchor"},
                 "potential (the method): the outcome, plus the step's difference of phi; causal: "
                 "what follows from the step, against the other completions' same step; anchor: "
                 "the outcome, plus what follows, against steps from the same drug list");
  schema->Number("credit.lambda", &lambda, {.low = 0},
                 "weight of the steps in potential and anchor; 0: standard GRPO");
  schema->Number("credit.gamma", &gamma, {.low = 0, .high = 1}, "discount of the next state's phi");
  schema->Choice(
      "credit.scale_steps", &scale_steps, {"none", "group"},
      "group: the step differences of potential are also divided by the standard deviation of the "
      "group's rewards");
  schema->Choice("credit.scale_rewards", &scale_rewards, {"group", "none"},
                 "group (the paper's): rewards are divided by the standard deviation of their "
                 "group; none: they are not, so that the policy follows the expected reward");
  schema->Number("credit.epsilon", &epsilon, {.low = 0, .low_open = true},
                 "added to the standard deviation of a group's rewards");
}

Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options) {
  if (group.empty()) throw DataError("advantages: expected at least one completion, found none");
  std::vector<double> rewards;
  for (const Verdict* verdict : group) rewards.push_back(verdict->reward);
  const Spread spread = SpreadOf(rewards);
  const Normalizer normalizer = NormalizerOf(options);
  const std::vector<double> outcomes = Normalized(rewards, normalizer);
  const Parts parts = PartsOf(group, options, spread.std);
  Advantages result;
  result.reward_mean = static_cast<float>(spread.mean);
  result.reward_std = static_cast<float>(spread.std);
  for (size_t i = 0; i < group.size(); ++i) {
    std::vector<float> tokens(group[i]->step_of_token.size());
    for (size_t t = 0; t < tokens.size(); ++t) {
      const double step = parts.steps[i][StepOf(*group[i], t) - 1];
      tokens[t] = static_cast<float>(parts.outcome * outcomes[i] + parts.step * step);
    }
    result.tokens.push_back(std::move(tokens));
  }
  return result;
}

}  // namespace flame
