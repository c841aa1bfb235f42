#include "recommend/classify.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/progress.h"
#include "base/signals.h"
#include "comm/group.h"
#include "trainer/micro_batch.h"

namespace flame {
namespace {

void ClassifyBatch(const Policy& policy, const PromptBuilder& prompts,
                   const std::vector<Family>& families, std::vector<float>* all) {
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor hidden = policy.Hidden(batch, ForwardOptions{});
  const at::Tensor logits =
      policy.LogitsOf(hidden, batch.sources, {prompts.yes_id(), prompts.no_id()});
  const at::Tensor difference =
      (logits.select(1, 0) - logits.select(1, 1)).cpu().to(at::kFloat).contiguous();
  const float* values = difference.const_data_ptr<float>();
  all->insert(all->end(), values, values + difference.numel());
}

// Returns the end of each batch as an index into `visits`. Every batch but the last has at least
// `token_budget` tokens.
std::vector<size_t> BatchEnds(const PromptBuilder& prompts, int32_t num_drugs,
                              const std::vector<int32_t>& visits, int64_t token_budget) {
  size_t branches = 0;  // tokens of all branches, answers included
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    branches += prompts.CandidateBranch(drug).size() + 1;
  }
  std::vector<size_t> ends;
  size_t tokens = 0;
  for (size_t i = 0; i < visits.size(); ++i) {
    tokens += prompts.ClassifierTrunk(visits[i]).size() + branches;
    if (static_cast<int64_t>(tokens) < token_budget && i + 1 < visits.size()) continue;
    ends.push_back(i + 1);
    tokens = 0;
  }
  return ends;
}

}  // namespace

Family ClassifierFamily(const PromptBuilder& prompts, int32_t num_drugs, int32_t visit,
                        const std::vector<int32_t>& visit_drugs) {
  Family family;
  family.trunk = prompts.ClassifierTrunk(visit);
  family.branches.resize(num_drugs);
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    Branch& branch = family.branches[drug];
    branch.tokens = prompts.CandidateBranch(drug);
    branch.loss_from = static_cast<int32_t>(branch.tokens.size());
    const bool given = std::find(visit_drugs.begin(), visit_drugs.end(), drug) != visit_drugs.end();
    branch.tokens.push_back(given ? prompts.yes_id() : prompts.no_id());
  }
  return family;
}

std::vector<float> ClassifierLogits(const Policy& policy, const PromptBuilder& prompts,
                                    int32_t num_drugs, const std::vector<int32_t>& visits,
                                    int64_t token_budget, const std::string& label,
                                    Communicator* learners) {
  const at::NoGradGuard no_grad;
  std::vector<float> logits;
  logits.reserve(visits.size() * num_drugs);
  std::optional<Progress> progress;
  if (!label.empty()) progress.emplace(label, static_cast<int64_t>(visits.size()), "visit");
  const std::vector<size_t> ends = BatchEnds(prompts, num_drugs, visits, token_budget);
  size_t next = 0;
  for (const size_t end : ends) {
    StopIfRequested();
    std::vector<Family> families;
    for (; next < end; ++next) {
      families.push_back(ClassifierFamily(prompts, num_drugs, visits[next], {}));
    }
    ClassifyBatch(policy, prompts, families, &logits);
    if (progress) progress->Add(static_cast<int64_t>(families.size()));
  }
  // Every learner makes the same number of forwards: gathering split parameters takes all of them.
  const auto own = static_cast<double>(ends.size());
  for (double more = MaxOverRanks(learners, {own})[0] - own; more > 0; --more) {
    ClassifyBatch(policy, prompts, IdlePass().families, &logits);
  }
  return logits;
}

Scores ClassifyVisits(const Policy& policy, const PromptBuilder& prompts, int32_t num_drugs,
                      const std::vector<int32_t>& visits, double offset, int64_t token_budget,
                      const std::string& label) {
  const at::Tensor logits =
      at::tensor(ClassifierLogits(policy, prompts, num_drugs, visits, token_budget, label));
  const at::Tensor probability = at::sigmoid(logits - offset);
  const float* values = probability.const_data_ptr<float>();
  return {visits, {values, values + probability.numel()}};
}

}  // namespace flame
