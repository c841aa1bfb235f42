// The examples that pi_list trains on.
#ifndef FLAME_RECOMMEND_LIST_EXAMPLES_H_
#define FLAME_RECOMMEND_LIST_EXAMPLES_H_

#include <vector>

#include "data/list_task.h"
#include "data/prompts/prompt.h"
#include "model/family.h"

namespace flame {

// Groups the tasks by visit. Groups are in the order of their first tasks.
std::vector<std::vector<ListTask>> TasksByVisit(const std::vector<ListTask>& tasks);

// Returns the family of one visit's tasks: the visit's trunk and one branch per task. The asked-for
// tokens are those of the answers.
Family ListFamily(const PromptBuilder& prompts, const std::vector<ListTask>& tasks);

}  // namespace flame

#endif  // FLAME_RECOMMEND_LIST_EXAMPLES_H_
