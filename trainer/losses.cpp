#include "trainer/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/index_add.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros.h>

#include "base/error.h"

namespace flame {

double TokenWeight(const std::string& normalizer, int64_t length, const StepTotals& totals) {
  const double completions = static_cast<double>(totals.completions);
  if (normalizer == "sequence") return 1 / (static_cast<double>(length) * completions);
  if (normalizer == "token") return 1 / static_cast<double>(totals.tokens);
  if (normalizer == "batch") return 1 / completions;
  if (normalizer == "constant") return 1 / (completions * static_cast<double>(totals.max_tokens));
  throw UsageError("grpo.normalizer is '", normalizer,
                   "'; expected sequence, token, batch or constant");
}

KlEstimator ParseKlEstimator(const std::string& name) {
  if (name == "k3") return KlEstimator::kK3;
  if (name == "k3_ratio") return KlEstimator::kK3Ratio;
  throw UsageError("grpo.kl_estimator is '", name, "'; expected k3 or k3_ratio");
}

namespace {

// Returns the means over the segments, one for each token.
at::Tensor SegmentMeans(const at::Tensor& values, const at::Tensor& segments) {
  if (values.numel() == 0) return values;
  const int64_t count = segments.max().item<int64_t>() + 1;
  const at::Tensor zeros = at::zeros({count}, values.options().requires_grad(false));
  const at::Tensor sizes = zeros.index_add(0, segments, at::ones_like(values));
  return (zeros.index_add(0, segments, values) / sizes).index_select(0, segments);
}

}  // namespace

SurrogateLoss ClippedSurrogate(const SurrogateInput& input, double clip, double kl,
                               KlEstimator estimator) {
  at::Tensor log_ratio = input.logprobs - input.old_logprobs;
  if (input.segments.defined()) log_ratio = SegmentMeans(log_ratio, input.segments);
  const at::Tensor ratio = log_ratio.exp();
  const at::Tensor& advantages = input.advantages;
  const at::Tensor bounded = ratio.clamp(1 - clip, 1 + clip);
  at::Tensor token_loss = -at::minimum(ratio * advantages, bounded * advantages);
  SurrogateLoss result;
  if (input.reference.defined()) {
    const at::Tensor distance = input.reference - input.logprobs;
    at::Tensor estimate = distance.exp() - distance - 1;
    if (estimator == KlEstimator::kK3Ratio) estimate = estimate * ratio;
    token_loss = token_loss + kl * estimate;
    result.kl_sum = estimate.sum(at::kDouble).item<double>();
  }
  const at::Tensor clipped =
      ((ratio < 1 - clip) & (advantages < 0)) | ((ratio > 1 + clip) & (advantages > 0));
  result.clipped = clipped.sum().item<int64_t>();
  result.loss = (token_loss * input.weights).sum();
  return result;
}

void AppendSegments(const std::vector<int16_t>& step_of_token, bool by_step,
                    std::vector<int64_t>* segments) {
  int64_t next = segments->empty() ? 0 : segments->back() + 1;
  for (size_t t = 0; t < step_of_token.size(); ++t) {
    if (by_step && t > 0 && step_of_token[t] != step_of_token[t - 1]) ++next;
    segments->push_back(next);
  }
}

ImportanceCorrection TruncatedImportance(const at::Tensor& pi, const at::Tensor& mu, double cap) {
  const at::Tensor ratio = (pi - mu).exp();
  return {ratio.clamp_max(cap), (ratio > cap).sum().item<int64_t>()};
}

at::Tensor NegativeLogLikelihood(const at::Tensor& logprobs, const at::Tensor& weights,
                                 double total_weight) {
  return -(logprobs * weights).sum() / total_weight;
}

}  // namespace flame
