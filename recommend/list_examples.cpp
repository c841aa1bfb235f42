#include "recommend/list_examples.h"

#include <cstdint>
#include <map>
#include <utility>

namespace flame {

std::vector<std::vector<ListTask>> TasksByVisit(const std::vector<ListTask>& tasks) {
  std::vector<std::vector<ListTask>> groups;
  std::map<int32_t, size_t> group_of;
  for (const ListTask& task : tasks) {
    const auto [found, added] = group_of.try_emplace(task.visit, groups.size());
    if (added) groups.emplace_back();
    groups[found->second].push_back(task);
  }
  return groups;
}

Family ListFamily(const PromptBuilder& prompts, const std::vector<ListTask>& tasks) {
  Family family;
  family.trunk = prompts.ListTrunk(tasks.front().visit);
  for (const ListTask& task : tasks) {
    Branch branch;
    branch.tokens = prompts.ListQuestion(task.input, task.edit);
    branch.loss_from = static_cast<int32_t>(branch.tokens.size());
    const std::vector<int32_t> answer = prompts.ListAnswer(task.target);
    branch.tokens.insert(branch.tokens.end(), answer.begin(), answer.end());
    family.branches.push_back(std::move(branch));
  }
  return family;
}

}  // namespace flame
