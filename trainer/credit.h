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

// A[i][t] = r~_i + lambda * (gamma * phi(step(t)) - phi(step(t) - 1)); a token outside all steps
// gets r~_i. r~_i = (R_i - mean) / (std + epsilon), with std over n - 1 as in TRL; a group of one
// member gets r~ = 0.
struct Advantages {
  std::vector<std::vector<float>> tokens;  // [member][token]
  float reward_mean = 0, reward_std = 0;
};
// Throws DataError if the group is empty or a token names a step outside 1..N.
Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_H_
