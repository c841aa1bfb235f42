#include "trainer/sft/validation.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "base/error.h"

namespace flame {

ValidationSet::ValidationSet(const std::vector<Family>& families, int64_t token_budget)
    : micro_batches_(CutMicroBatches(families, token_budget)) {
  for (const MicroBatch& micro_batch : micro_batches_) {
    tokens_ += PackFamilies(micro_batch.families).targets.numel();
  }
  if (tokens_ == 0) {
    throw DataError("validation: ", families.size(),
                    " examples ask for no token; expected at least one");
  }
}

double ValidationSet::Loss(const Policy& policy, Communicator* learners) const {
  const c10::NoGradGuard no_grad;
  const int64_t count = static_cast<int64_t>(micro_batches_.size());
  at::Tensor sums = at::zeros({count}, at::kDouble);
  const int rank = learners == nullptr ? 0 : learners->rank();
  const int size = learners == nullptr ? 1 : learners->size();
  // Every learner makes the same number of forwards: gathering split parameters takes all of them.
  const MicroBatch idle = IdlePass();
  for (int64_t i = rank; i < (count + size - 1) / size * size; i += size) {
    const FamilyBatch batch = PackFamilies((i < count ? micro_batches_[i] : idle).families);
    const at::Tensor hidden = policy.Hidden(batch, ForwardOptions());
    const at::Tensor logprobs = policy.LogProbs(hidden, batch.sources, batch.targets);
    if (i < count) sums.mutable_data_ptr<double>()[i] = -logprobs.sum(at::kDouble).item<double>();
  }
  // The entries of other learners are 0, so that adding them changes no bit.
  if (learners != nullptr) learners->AllReduce(sums, ReduceOp::kSum)->Wait();
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += sums.const_data_ptr<double>()[i];
  return total / static_cast<double>(tokens_);
}

}  // namespace flame
