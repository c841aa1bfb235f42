// Losses as pure functions of tensors. A loss is a sum over tokens of weight x token loss, and the
// weights are made from the step's global totals: however a step is cut into micro-batches or dealt
// to ranks, the parts add up to the same loss and gradient.
#ifndef FLAME_TRAINER_LOSSES_H_
#define FLAME_TRAINER_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace flame {

// Of one step over all ranks.
struct StepTotals {
  int64_t completions = 0;
  int64_t tokens = 0;      // of all completions
  int64_t max_tokens = 0;  // limit of a completion
};

// The weight of each token of a completion of `length` tokens, by normalizer:
//   sequence  1 / (length * completions)      the paper's (1); TRL's "grpo"
//   token     1 / tokens                      TRL's "dapo", "bnpo" over the step
//   batch     1 / completions                 sums of tokens, averaged over completions
//   constant  1 / (completions * max_tokens)  TRL's "dr_grpo"
// Throws UsageError on another name.
double TokenWeight(const std::string& normalizer, int64_t length, const StepTotals& totals);

// All [N], one number a trained token; equal dtype. `logprobs` alone carries gradient.
struct SurrogateInput {
  at::Tensor logprobs;      // under the present weights
  at::Tensor old_logprobs;  // under the weights that sampled
  at::Tensor reference;     // under the reference policy; undefined: no KL term
  at::Tensor advantages;
  at::Tensor weights;  // TokenWeight
};

// Of KL(policy || reference) at a token, with d = reference - logprobs:
//   kK3       e^d - d - 1 (Schulman 2020)
//   kK3Ratio  that times rho, which makes it unbiased, in value and gradient, where the policy has
//             moved from the one that sampled (DeepSeek-V3.2; TRL's use_bias_correction_kl)
enum class KlEstimator { kK3, kK3Ratio };
// "k3" or "k3_ratio". Throws UsageError on another name.
KlEstimator ParseKlEstimator(const std::string& name);

struct SurrogateLoss {
  at::Tensor loss;      // scalar, differentiable
  double kl_sum = 0;    // sum of the estimate over the N tokens
  int64_t clipped = 0;  // tokens whose ratio was clipped: no gradient through the ratio
};

// With rho = exp(logprobs - old), A the advantage:
//   loss = sum of weight * ( -min(rho A, clamp(rho, 1 - clip, 1 + clip) A) + kl * estimate )
// A token counts as clipped where rho < 1 - clip and A < 0, or rho > 1 + clip and A > 0.
SurrogateLoss ClippedSurrogate(const SurrogateInput& input, double clip, double kl,
                               KlEstimator estimator = KlEstimator::kK3);

// Truncated importance correction of tokens that an older policy mu sampled (Ionides 2008; for
// asynchronous training: Fu et al. 2025, AReaL): token weights are multiplied by min(pi / mu, cap),
// pi being the policy that the update begins with, and the ratio that is clipped is the one to pi.
struct ImportanceCorrection {
  at::Tensor factors;     // [N], in (0, cap]
  int64_t truncated = 0;  // tokens at the cap
};
// Log-probabilities of the tokens under pi and mu, [N]. `cap` >= 1.
ImportanceCorrection TruncatedImportance(const at::Tensor& pi, const at::Tensor& mu, double cap);

// sum of -logprobs * weights / total_weight, scalar; both [N], `total_weight` that of the step over
// all ranks.
at::Tensor NegativeLogLikelihood(const at::Tensor& logprobs, const at::Tensor& weights,
                                 double total_weight);

}  // namespace flame

#endif  // FLAME_TRAINER_LOSSES_H_
