// Credit: from verdicts of a group to an advantage per token (eq. 2, 6).
#ifndef FLAME_TRAINER_CREDIT_H_
#define FLAME_TRAINER_CREDIT_H_

#include <string>
#include <vector>

#include "base/config.h"
#include "reward/verdict.h"

namespace flame {

struct CreditOptions {
  double lambda = 0.5;  // 0: standard GRPO
  double gamma = 1.0;
  // none: step differences as they are (the paper's); group: divided by the group's reward spread
  // too, so that the telescoped sum is the scaled outcome; a group whose spread is at most epsilon
  // keeps its steps as they are.
  std::string scale_steps = "none";
  double epsilon = 1e-4;            // added to the spread, as TRL does
  void Bind(ConfigSchema* schema);  // credit.*
};

// A[i][t] = r~_i + lambda * (gamma * phi(step(t)) - phi(step(t) - 1)); tokens of no step get r~_i.
// r~_i = (R_i - mean) / (std + epsilon), std with n - 1 as TRL's; a group of one gets r~ = 0.
struct Advantages {
  std::vector<std::vector<float>> tokens;  // [member][token]
  float reward_mean = 0, reward_std = 0;
};
Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_H_
