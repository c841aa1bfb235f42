#include "trainer/grpo/allowed_tokens.h"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>

namespace flame {

AllowedTokens FindAllowed(const LineTrie& lines, const std::vector<Family>& families) {
  AllowedTokens found;
  std::vector<const std::vector<int32_t>*> rows;
  std::vector<int64_t> targets;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) {
      for (const auto* allowed : lines.AllowedAlong(branch.tokens)) rows.push_back(allowed);
      targets.insert(targets.end(), branch.tokens.begin(), branch.tokens.end());
    }
  }
  std::vector<int64_t>& ids = found.token_ids;
  for (const auto* allowed : rows) ids.insert(ids.end(), allowed->begin(), allowed->end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const auto column = [&](int64_t token) {
    return std::lower_bound(ids.begin(), ids.end(), token) - ids.begin();
  };
  const auto width = static_cast<int64_t>(ids.size());
  found.allowed = at::zeros({static_cast<int64_t>(rows.size()), width}, at::kBool);
  bool* mask = found.allowed.mutable_data_ptr<bool>();
  for (size_t r = 0; r < rows.size(); ++r, mask += width) {
    for (const int32_t token : *rows[r]) mask[column(token)] = true;
    targets[r] = column(targets[r]);
  }
  found.targets = at::tensor(targets, at::kLong);
  return found;
}

at::Tensor LogProbsAmong(const AllowedTokens& tokens, const at::Tensor& logits, double temperature,
                         at::Tensor* entropy) {
  const at::Tensor excluded = ~tokens.allowed.to(logits.device());
  const at::Tensor scaled = logits.to(at::toOpMathType(logits.scalar_type())) / temperature;
  const at::Tensor table =
      at::log_softmax(scaled.masked_fill(excluded, -std::numeric_limits<double>::infinity()), 1);
  if (entropy != nullptr) {
    const at::Tensor logprobs = table.detach();
    *entropy = -(logprobs.exp() * logprobs.masked_fill(excluded, 0)).sum(1);
  }
  return table.gather(1, tokens.targets.to(logits.device()).unsqueeze(1)).squeeze(1);
}

}  // namespace flame
