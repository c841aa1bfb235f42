// Credit: turns the verdicts of a group into one advantage per token (eq. 2, 6).
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
  // none: step differences are not scaled (the paper's). group: step differences are also divided
  // by the group's reward spread, so that they telescope to the scaled outcome; a group whose
  // spread is at most epsilon keeps its differences unscaled.
  std::string scale_steps = "none";
  double epsilon = 1e-4;            // added to the spread, as TRL does
  void Bind(ConfigSchema* schema);  // credit.*
};

// A[i][t] = r~_i + lambda * (gamma * phi(step(t)) - phi(step(t) - 1)), where the step term is
// divided by std + epsilon if scale_steps is group and std > epsilon; a token outside all steps
// gets r~_i. r~_i = (R_i - mean) / (std + epsilon). In a group of G members, std divides by G - 1,
// as in TRL; a group of one member gets r~ = 0.
//
// Worked example: lambda 0.5, gamma 1, scale_steps none, epsilon 0.25 (large, for round numbers):
//   rewards of three members {0.25, 0, -0.25}: mean 0, std 0.25, r~ {0.5, 0, -0.5}
//   first member: phi {0.5, 1, 0.75}, step_of_token {1, 1, 2, 2, -1}
//   its step terms: 0.5 * (1 - 0.5) = 0.25 in step 1, 0.5 * (0.75 - 1) = -0.125 in step 2
//   A[0] = {0.75, 0.75, 0.375, 0.375, 0.5}
struct Advantages {
  std::vector<std::vector<float>> tokens;  // [member][token]
  float reward_mean = 0, reward_std = 0;
};
// Throws DataError if the group is empty or a token names a step outside 1..N.
Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_H_
