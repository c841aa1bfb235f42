#include "launch/export/logit_probe.h"

#include <numeric>

#include "base/random.h"

namespace flame {

LogitProbe ProbeOf(int64_t vocab_size, const std::vector<int32_t>& slots) {
  RandomStream random(/*seed=*/0, kSampling);
  LogitProbe probe;
  const auto draw = [&] { return static_cast<int32_t>(random.Below(vocab_size)); };
  for (int i = 0; i < 16; ++i) probe.family.trunk.push_back(draw());
  probe.family.trunk.insert(probe.family.trunk.end(), slots.begin(), slots.end());
  std::vector<int32_t> branch;
  for (int i = 0; i < 32; ++i) branch.push_back(draw());
  probe.family.branches.push_back({branch, /*loss_from=*/0});
  probe.vocabulary.resize(vocab_size);
  std::iota(probe.vocabulary.begin(), probe.vocabulary.end(), 0);
  return probe;
}

at::Tensor ProbedLogits(const Policy& policy, const LogitProbe& probe) {
  const FamilyBatch batch = PackFamilies({probe.family});
  return policy.LogitsOf(policy.Hidden(batch, {}), batch.sources, probe.vocabulary).to(at::kFloat);
}

}  // namespace flame
