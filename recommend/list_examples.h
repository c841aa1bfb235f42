// What pi_list trains on.
#ifndef FLAME_RECOMMEND_LIST_EXAMPLES_H_
#define FLAME_RECOMMEND_LIST_EXAMPLES_H_

#include <vector>

#include "data/list_task.h"
#include "data/prompts/prompt.h"
#include "model/family.h"

namespace flame {

// Tasks that share a visit, in order of their first.
std::vector<std::vector<ListTask>> TasksByVisit(const std::vector<ListTask>& tasks);

// The family of one visit's tasks: its trunk, and for each a branch whose answer is asked for.
Family ListFamily(const PromptBuilder& prompts, const std::vector<ListTask>& tasks);

}  // namespace flame

#endif  // FLAME_RECOMMEND_LIST_EXAMPLES_H_
