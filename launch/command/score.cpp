// flame score: log-probabilities of families.
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launch/cli/json_lines.h"
#include "launch/command/command.h"
#include "launch/command/questions.h"

namespace flame {
namespace {

using nlohmann::json;

json ScoreFamily(const Policy& policy, const json& question) {
  Family family;
  family.trunk = IdsOf(Member(question, "trunk"), policy, "'trunk'");
  const json& branches = Member(question, "branches");
  if (!branches.is_array()) {
    throw DataError("'branches' is ", branches.dump(), "; expected a list of lists of token ids");
  }
  for (const json& branch : branches) {
    const std::string what = StrCat("branch ", family.branches.size());
    family.branches.push_back({IdsOf(branch, policy, what), /*loss_from=*/0});
    const size_t length = family.trunk.size() + family.branches.back().tokens.size();
    if (length > static_cast<size_t>(policy.config().max_positions)) {
      throw DataError("trunk and branch ", family.branches.size() - 1, " have ", length,
                      " tokens; the model takes ", policy.config().max_positions);
    }
  }
  if (family.branches.empty()) return {{"logprobs", json::array()}};
  const FamilyBatch batch = PackFamilies({family});
  const at::Tensor hidden = policy.Hidden(batch, ForwardOptions());
  const at::Tensor logprobs =
      policy.LogProbs(hidden, batch.sources, batch.targets).cpu().to(at::kFloat).contiguous();
  const float* values = logprobs.const_data_ptr<float>();
  json rows = json::array();
  for (size_t k = 0; k < family.branches.size(); ++k) {
    const int64_t begin = batch.target_offsets[k], end = batch.target_offsets[k + 1];
    if (!std::all_of(values + begin, values + end, [](float x) { return std::isfinite(x); })) {
      throw MachineError("the policy gives log-probabilities that are not finite for branch ", k);
    }
    rows.push_back(std::vector<float>(values + begin, values + end));
  }
  return {{"logprobs", rows}};
}

}  // namespace

int RunScore(const ParsedOptions& options) {
  const at::NoGradGuard no_grad;
  const Policy policy = PolicyOf(options);
  AnswerLines([&](const json& question) { return ScoreFamily(policy, question); });
  return 0;
}

}  // namespace flame
