#include "recommend/prompt_lengths.h"

#include <algorithm>
#include <set>

#include "base/error.h"

namespace flame {
namespace {

// Collects sequences that are too long.
class LengthCheck {
 public:
  explicit LengthCheck(int64_t max_positions) : max_positions_(max_positions) {}

  void See(const Visit& visit, size_t tokens) {
    const auto length = static_cast<int64_t>(tokens);
    seen_.insert(visit.hadm);
    if (length <= max_positions_) return;
    too_long_.insert(visit.hadm);
    if (length <= longest_) return;
    longest_ = length;
    longest_hadm_ = visit.hadm;
  }

  void Finish(const std::string& what, const std::string& advice) const {
    if (too_long_.empty()) return;
    throw DataError(what, " of ", too_long_.size(), " of ", seen_.size(), " visits ",
                    "have more tokens than the model's max_position_embeddings, ", max_positions_,
                    "; the longest has ", longest_, ", of HADM_ID ", longest_hadm_, ". Expected ",
                    "shorter ones: ", advice, "shorten what the templates of prompts.file write, ",
                    "such as the note, or take a model with more positions (model.path)");
  }

 private:
  int64_t max_positions_, longest_ = 0, longest_hadm_ = 0;
  std::set<int64_t> seen_, too_long_;
};

size_t PromptTokens(const PromptBuilder& prompts, const ListTask& task) {
  return prompts.ListTrunk(task.visit).size() + prompts.ListQuestion(task.input, task.edit).size();
}

}  // namespace

void CheckClassifierLengths(const Materials& materials, int64_t max_positions) {
  const PromptBuilder& prompts = *materials.prompts;
  size_t candidate = 0;
  for (int32_t drug = 0; drug < materials.corpus.drugs.size(); ++drug) {
    candidate = std::max(candidate, prompts.CandidateBranch(drug).size());
  }
  LengthCheck check(max_positions);
  for (size_t v = 0; v < materials.corpus.visits.size(); ++v) {
    check.See(materials.corpus.visits[v],
              prompts.ClassifierTrunk(static_cast<int32_t>(v)).size() + candidate);
  }
  check.Finish("the classifier's prompts", "");
}

void CheckListLengths(const Materials& materials, const std::vector<ListTask>& tasks,
                      int64_t max_positions) {
  LengthCheck check(max_positions);
  for (const ListTask& task : tasks) {
    check.See(
        materials.corpus.visits[task.visit],
        PromptTokens(*materials.prompts, task) + materials.prompts->ListAnswer(task.target).size());
  }
  check.Finish("the list tasks", "");
}

void CheckCompletionLengths(const Materials& materials, const std::vector<ListTask>& tasks,
                            int64_t max_tokens, int64_t max_positions) {
  LengthCheck check(max_positions);
  for (const ListTask& task : tasks) {
    check.See(materials.corpus.visits[task.visit],
              PromptTokens(*materials.prompts, task) + static_cast<size_t>(max_tokens));
  }
  check.Finish("the prompts of GRPO with a completion each",
               StrCat("lower grpo.max_tokens, ", max_tokens, ", "));
}

}  // namespace flame
