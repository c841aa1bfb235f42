#include "trainer/grpo/grpo_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace flame {
namespace {

Family FamilyOf(const Group& group, int64_t number) {
  Family family;
  family.number = number;
  family.trunk = group.prompt;
  for (const Trajectory& member : group.members) family.branches.push_back({member.tokens, 0});
  return family;
}

at::Tensor ToTensor(const std::vector<double>& values, at::Device device) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<double>());
  return tensor.to(device);
}

}  // namespace

GrpoUpdate::GrpoUpdate(const GrpoJob& job, const GrpoBatch& batch, TrainingRun* run)
    : job_(job), run_(run), off_policy_(batch.staleness > 0) {
  std::vector<Family> families;
  std::vector<int64_t> group_of_family;
  for (size_t g = run->rank(); g < batch.groups.size(); g += run->size()) {
    group_of_family.push_back(static_cast<int64_t>(g));
    families.push_back(FamilyOf(batch.groups[g], group_of_family.back()));
  }
  std::vector<MicroBatch> passes = CutMicroBatches(families, job.options.token_budget);
  passes.resize(run->CountPasses(static_cast<int64_t>(passes.size())), IdlePass());
  for (const MicroBatch& micro_batch : passes) {
    parts_.push_back(MakePart(micro_batch, batch, group_of_family));
  }
}

GrpoUpdate::Part GrpoUpdate::MakePart(const MicroBatch& micro_batch, const GrpoBatch& batch,
                                      const std::vector<int64_t>& group_of_family) const {
  std::vector<double> old_logprobs, advantages, weights;
  std::vector<int64_t> segments;
  const bool by_completion = job_.options.loss == "gspo";
  const bool by_step = job_.credit.scheme == "causal";
  for (const BranchPlace& place : micro_batch.branches) {
    const int64_t g = group_of_family[place.family];
    const Trajectory& member = batch.groups[g].members[place.branch];
    const std::vector<float>& credit = batch.advantages[g].tokens[place.branch];
    old_logprobs.insert(old_logprobs.end(), member.logprobs.begin(), member.logprobs.end());
    advantages.insert(advantages.end(), credit.begin(), credit.end());
    const auto length = static_cast<int64_t>(member.tokens.size());
    weights.insert(weights.end(), member.tokens.size(),
                   TokenWeight(job_.options.normalizer, length, batch.totals));
    if (by_completion || by_step) {
      AppendSegments(member.verdict.step_of_token, by_step, &segments);
    }
  }
  Part part;
  const at::Device device = job_.policy->device();
  part.batch = PackFamilies(micro_batch.families);
  if (Constrained(part)) part.allowed = FindAllowed(*job_.lines, micro_batch.families);
  part.tokens.old_logprobs = ToTensor(old_logprobs, device);
  part.tokens.advantages = ToTensor(advantages, device);
  part.tokens.weights = ToTensor(weights, device);
  if (!segments.empty()) part.tokens.segments = at::tensor(segments, at::kLong).to(device);
  if (job_.options.kl > 0) {
    const c10::NoGradGuard no_grad;
    part.tokens.reference = LogProbs(part, {.adapters = false}, nullptr).to(at::kDouble);
  }
  return part;
}

bool GrpoUpdate::Constrained(const Part& part) const {
  return job_.lines != nullptr && part.batch.targets.numel() > 0;
}

at::Tensor GrpoUpdate::LogProbs(const Part& part, const ForwardOptions& options,
                                at::Tensor* entropy) const {
  const FamilyBatch& batch = part.batch;
  const double temperature = job_.options.sampling.temperature;
  const at::Tensor hidden = job_.policy->Hidden(batch, options);
  if (!Constrained(part)) {
    return job_.policy->LogProbs(hidden, batch.sources, batch.targets, temperature, entropy);
  }
  const at::Tensor logits = job_.policy->LogitsOf(hidden, batch.sources, part.allowed.token_ids);
  return LogProbsAmong(part.allowed, logits, temperature, entropy);
}

void GrpoUpdate::Correct(const at::Tensor& logprobs, SurrogateInput* tokens, PassSums* sums) const {
  const c10::NoGradGuard no_grad;
  const at::Tensor present = logprobs.detach();
  const ImportanceCorrection correction =
      TruncatedImportance(present, tokens->old_logprobs, job_.options.importance_cap);
  tokens->weights = tokens->weights * correction.factors;
  tokens->old_logprobs = present;
  sums->importance += correction.factors.sum().item<double>();
  sums->truncated += static_cast<double>(correction.truncated);
}

PassSums GrpoUpdate::Backward() {
  PassSums sums;
  for (size_t i = 0; i < parts_.size(); ++i) {
    const ForwardOptions options{.dropout_seed = run_->DropoutSeed(), .recompute = job_.recompute};
    at::Tensor entropy;
    run_->BeginPass();
    // The surrogate is taken in float64: exp of a difference of log-probabilities.
    const at::Tensor logprobs = LogProbs(parts_[i], options, &entropy).to(at::kDouble);
    const at::Tensor mismatch = (logprobs.detach() - parts_[i].tokens.old_logprobs).abs();
    if (first_ && off_policy_) Correct(logprobs, &parts_[i].tokens, &sums);
    SurrogateInput tokens = parts_[i].tokens;
    tokens.logprobs = logprobs;
    const SurrogateLoss result = ClippedSurrogate(tokens, job_.options.clip, job_.options.kl,
                                                  ParseKlEstimator(job_.options.kl_estimator));
    result.loss.backward();
    run_->EndPass();
    if (logprobs.numel() == 0) continue;
    sums.loss += result.loss.item<double>();
    sums.kl += result.kl_sum;
    sums.clipped += static_cast<double>(result.clipped);
    sums.entropy += entropy.sum(at::kDouble).item<double>();
    sums.mismatch_max = std::max(sums.mismatch_max, mismatch.max().item<double>());
  }
  first_ = false;
  return sums;
}

}  // namespace flame
