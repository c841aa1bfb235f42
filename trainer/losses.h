// Losses as pure functions of tensors. A loss is a sum over tokens of weight x token loss. The
// weights come from the step's global totals, so the parts add up to the same loss and gradient
// however a step is cut into micro-batches or divided among ranks.
#ifndef FLAME_TRAINER_LOSSES_H_
#define FLAME_TRAINER_LOSSES_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace flame {

// Totals of one step over all ranks.
struct StepTotals {
  int64_t completions = 0;
  int64_t tokens = 0;      // tokens in all completions
  int64_t max_tokens = 0;  // most tokens that a completion may have
};

// Returns the weight of each token of a completion of `length` tokens, by normalizer:
//   sequence  1 / (length * completions)      the paper's (1); TRL's "grpo"
//   token     1 / tokens                      TRL's "dapo", "bnpo" over the step
//   batch     1 / completions                 sums of tokens, averaged over completions
//   constant  1 / (completions * max_tokens)  TRL's "dr_grpo"
// Throws UsageError on any other name.
double TokenWeight(const std::string& normalizer, int64_t length, const StepTotals& totals);

// Tensors of one dtype, each [N]: one number per trained token. Only `logprobs` carries gradient.
//
// Tokens of one segment share an importance ratio, the geometric mean of theirs:
//   undefined      every token has its own (GRPO)
//   a completion   GSPO (Zheng et al. 2025, arXiv 2507.18071, eq. 7)
//   a step         Rank-GRPO (arXiv 2510.20150)
struct SurrogateInput {
  at::Tensor logprobs;      // under the current weights
  at::Tensor old_logprobs;  // under the weights that sampled
  at::Tensor reference;     // under the reference policy; undefined: no KL term
  at::Tensor advantages;
  at::Tensor weights;   // TokenWeight
  at::Tensor segments;  // int64, 0.. without gaps: the segment of each token
};

// Estimators of KL(policy || reference) at a token, with d = reference - logprobs:
//   kK3       e^d - d - 1 (Schulman 2020)
//   kK3Ratio  k3 times rho: unbiased in value and gradient even after the policy has moved away
//             from the one that sampled, if every token has its own ratio (DeepSeek-V3.2; TRL's
//             use_bias_correction_kl)
enum class KlEstimator { kK3, kK3Ratio };
// Parses "k3" or "k3_ratio". Throws UsageError on any other name.
KlEstimator ParseKlEstimator(const std::string& name);

struct SurrogateLoss {
  at::Tensor loss;      // scalar, differentiable
  double kl_sum = 0;    // sum of the estimate over the N tokens
  int64_t clipped = 0;  // tokens whose ratio was clipped: they get no gradient through the ratio
};

// The clipped surrogate loss, with rho = exp(logprobs - old), or its segment's, and A the
// advantage:
//   loss = sum of weight * ( -min(rho A, clamp(rho, 1 - clip, 1 + clip) A) + kl * estimate )
// A token counts as clipped if rho < 1 - clip and A < 0, or rho > 1 + clip and A > 0.
SurrogateLoss ClippedSurrogate(const SurrogateInput& input, double clip, double kl,
                               KlEstimator estimator = KlEstimator::kK3);

// Appends the segments of a completion's tokens, numbered after those in `segments`: one for all
// its tokens, or, with `by_step`, one for each run of equal steps. Worked example, after {0, 0}:
//   step_of_token {1, 1, 2, -1}: {0, 0, 1, 1, 1, 1}, with by_step {0, 0, 1, 1, 2, 3}
void AppendSegments(const std::vector<int16_t>& step_of_token, bool by_step,
                    std::vector<int64_t>* segments);

// Truncated importance correction for tokens that an older policy mu sampled (Ionides 2008; for
// asynchronous training: Fu et al. 2025, AReaL). Token weights are multiplied by min(pi / mu, cap),
// where pi is the policy at the beginning of the update. The clipped ratio is then computed
// relative to pi.
struct ImportanceCorrection {
  at::Tensor factors;     // [N], in (0, cap]
  int64_t truncated = 0;  // tokens whose ratio exceeds the cap
};
// `pi` and `mu` are the log-probabilities of the tokens under the two policies, [N]. `cap` >= 1.
ImportanceCorrection TruncatedImportance(const at::Tensor& pi, const at::Tensor& mu, double cap);

// Returns the scalar sum of -logprobs * weights / total_weight. Both tensors have one shape;
// `total_weight` is the sum of the step's weights over all ranks.
at::Tensor NegativeLogLikelihood(const at::Tensor& logprobs, const at::Tensor& weights,
                                 double total_weight);

}  // namespace flame

#endif  // FLAME_TRAINER_LOSSES_H_
