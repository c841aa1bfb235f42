// Credit: turns the verdicts of a group into one advantage per token.
#ifndef FLAME_TRAINER_CREDIT_CREDIT_H_
#define FLAME_TRAINER_CREDIT_CREDIT_H_

#include <string>
#include <vector>

#include "base/config.h"
#include "reward/verdict.h"

namespace flame {

struct CreditOptions {
  // potential, causal or anchor: see ComputeAdvantages.
  std::string scheme = "potential";
  double lambda = 0.5;  // weight of the steps; 0: standard GRPO
  double gamma = 1.0;
  // none: step differences are not scaled (the paper's). group: step differences are also divided
  // by the group's reward spread, so that they telescope to the scaled outcome; a group whose
  // spread is at most epsilon keeps its differences unscaled. Of the scheme potential alone.
  std::string scale_steps = "none";
  // group: what is compared within a set is divided by the set's spread (the paper's, and GRPO's).
  // none: it is not (Dr. GRPO, arXiv 2503.20783; TRL's scale_rewards none). A group has one truth,
  // so with group a likely small gain outweighs a rare large loss, and the policy decides by
  // majority rather than by expected reward (docs/training.md).
  std::string scale_rewards = "group";
  double epsilon = 1e-4;            // added to a spread, as TRL does
  void Bind(ConfigSchema* schema);  // credit.*
};

struct Advantages {
  std::vector<std::vector<float>> tokens;  // [member][token]
  float reward_mean = 0, reward_std = 0;   // of the group's rewards
};

// The normalised value of x in a set is (x - mean) / (std + epsilon), or x - mean if scale_rewards
// is none, 0 if the set has one value; std divides by the size less 1, as in TRL. r~_i is the
// normalised reward of member i (eq. 2). phi(n) is the potential after step n of N, and the return
// of step n is what follows from it on:
//   G_i(n) = sum over m >= n of gamma^(m - n) (phi_i(m) - phi_i(m - 1)),   n = 1..N + 1
// With gamma 1, G_i(n) = phi_i(N) - phi_i(n - 1). Step N + 1 is the decision to end, whose return
// is 0; its tokens are those outside all steps.
//
// potential (eq. 6, the method):
//   A = r~_i + lambda * (gamma * phi(n) - phi(n - 1)); r~_i for a token outside all steps. The step
//   term is divided by std + epsilon if scale_steps is group and std > epsilon.
// causal: a step is credited with what follows from it alone (Rank-GRPO, arXiv 2510.20150):
//   A = G_i(n), normalised among the group's members that have a step n
// anchor: decisions at one drug list are compared with each other (GiGPO, arXiv 2505.10978, eq. 8):
//   A = r~_i + lambda * (G_i(n), normalised among all steps of the group that begin at that list)
//
// Worked example: lambda 0.5, gamma 1, scale_steps none, epsilon 0.25 (large, for round numbers):
//   rewards of three members {0.25, 0, -0.25}: mean 0, std 0.25, r~ {0.5, 0, -0.5}
//   first member: phi {0.5, 1, 0.75}, step_of_token {1, 1, 2, 2, -1}
//   potential: its step terms are 0.5 * (1 - 0.5) = 0.25 and 0.5 * (0.75 - 1) = -0.125
//   A[0] = {0.75, 0.75, 0.375, 0.375, 0.5}
//
// Throws DataError if the group is empty or a token names a step outside 1..N.
Advantages ComputeAdvantages(const std::vector<const Verdict*>& group,
                             const CreditOptions& options);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_CREDIT_H_
