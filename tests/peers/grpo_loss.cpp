// grpo_loss < CASE.json
//
// Computes GRPO's loss on given log-probabilities, for comparison with TRL. CASE.json is {"preset",
// "overrides": ["grpo.kl=0.04", ...], "groups": [[{"reward", "logprobs", "old", "reference":
// [numbers]}, ...], ...]}. Prints {"settings": the resolved keys of grpo and credit, "loss",
// "kl_mean" and "clipped_mean" over tokens, "advantages" and "gradients": a list for each
// completion over all groups}. The gradients are with respect to "logprobs".
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "trainer/credit/credit.h"
#include "trainer/losses.h"
#include "trainer/preset.h"

namespace flame {
namespace {

using Json = nlohmann::json;
using Rows = std::vector<std::vector<double>>;

struct Settings {
  GrpoOptions grpo;
  CreditOptions credit;
  std::string resolved;
};

Settings ReadSettings(const Json& given) {
  Settings settings;
  settings.grpo.preset = given.at("preset");
  ApplyPreset(&settings.grpo, &settings.credit);
  ConfigSchema schema;
  settings.grpo.Bind(&schema);
  settings.credit.Bind(&schema);
  schema.Load("", given.at("overrides").get<std::vector<std::string>>());
  settings.resolved = schema.Canonical({"grpo", "credit"});
  return settings;
}

at::Tensor ToTensor(const Rows& rows) {
  std::vector<double> flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  at::Tensor tensor = at::empty({static_cast<int64_t>(flat.size())}, at::kDouble);
  std::copy(flat.begin(), flat.end(), tensor.mutable_data_ptr<double>());
  return tensor;
}

Rows ToRows(const at::Tensor& tensor, const Rows& shape) {
  const double* next = tensor.const_data_ptr<double>();
  Rows rows;
  for (const auto& row : shape) {
    rows.emplace_back(next, next + row.size());
    next += row.size();
  }
  return rows;
}

// Returns one number per token of every completion. The verdicts have no steps, so advantages are
// those of the outcome alone.
Rows AdvantagesOf(const Json& groups, const CreditOptions& credit) {
  Rows rows;
  for (const Json& group : groups) {
    std::vector<Verdict> verdicts;
    for (const Json& member : group) {
      Verdict verdict;
      verdict.reward = member.at("reward");
      verdict.phi = {0};
      verdict.step_of_token.assign(member.at("logprobs").size(), -1);
      verdicts.push_back(verdict);
    }
    std::vector<const Verdict*> pointers;
    for (const Verdict& verdict : verdicts) pointers.push_back(&verdict);
    for (const auto& tokens : ComputeAdvantages(pointers, credit).tokens) {
      rows.emplace_back(tokens.begin(), tokens.end());
    }
  }
  return rows;
}

Rows Column(const Json& groups, const char* name) {
  Rows rows;
  for (const Json& group : groups) {
    for (const Json& member : group) rows.push_back(member.at(name).get<std::vector<double>>());
  }
  return rows;
}

Rows WeightsOf(const Rows& logprobs, const GrpoOptions& options) {
  StepTotals totals;
  totals.max_tokens = options.sampling.max_tokens;
  totals.completions = static_cast<int64_t>(logprobs.size());
  for (const auto& row : logprobs) totals.tokens += static_cast<int64_t>(row.size());
  Rows weights;
  for (const auto& row : logprobs) {
    const auto length = static_cast<int64_t>(row.size());
    weights.emplace_back(row.size(), TokenWeight(options.normalizer, length, totals));
  }
  return weights;
}

at::Tensor CompletionOfToken(const Rows& rows) {
  std::vector<int64_t> completions;
  for (size_t i = 0; i < rows.size(); ++i) {
    completions.insert(completions.end(), rows[i].size(), static_cast<int64_t>(i));
  }
  return at::tensor(completions, at::kLong);
}

void Run() {
  const Json given = Json::parse(std::cin);
  const Json& groups = given.at("groups");
  const Settings settings = ReadSettings(given);
  const GrpoOptions& options = settings.grpo;
  const Rows logprobs = Column(groups, "logprobs");
  const Rows advantages = AdvantagesOf(groups, settings.credit);
  SurrogateInput input;
  input.logprobs = ToTensor(logprobs).requires_grad_(true);
  input.old_logprobs = ToTensor(Column(groups, "old"));
  if (options.kl > 0) input.reference = ToTensor(Column(groups, "reference"));
  input.advantages = ToTensor(advantages);
  input.weights = ToTensor(WeightsOf(logprobs, options));
  if (options.loss == "gspo") input.segments = CompletionOfToken(logprobs);
  const SurrogateLoss result =
      ClippedSurrogate(input, options.clip, options.kl, ParseKlEstimator(options.kl_estimator));
  result.loss.backward();
  const auto tokens = static_cast<double>(input.logprobs.numel());
  std::cout << Json{{"settings", settings.resolved},
                    {"loss", result.loss.item<double>()},
                    {"kl_mean", result.kl_sum / tokens},
                    {"clipped_mean", static_cast<double>(result.clipped) / tokens},
                    {"advantages", advantages},
                    {"gradients", ToRows(input.logprobs.grad(), logprobs)}}
            << "\n";
}

}  // namespace
}  // namespace flame

int main() {
  try {
    flame::Run();
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
