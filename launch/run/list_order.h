// The order of the drugs that a list prompt shows (tasks.list_order).
#ifndef FLAME_LAUNCH_RUN_LIST_ORDER_H_
#define FLAME_LAUNCH_RUN_LIST_ORDER_H_

#include <cstdint>
#include <vector>

#include "data/list_task.h"
#include "launch/config/config.h"

namespace flame {

// Puts the drugs of lists[i], which belongs to visits[i], in the configured order. Drugs of equal
// score keep theirs.
void OrderLists(const Config& config, const Corpus& corpus, const std::vector<int32_t>& visits,
                std::vector<std::vector<int32_t>>* lists);
// The same with the inputs of tasks.
void OrderInputs(const Config& config, const Corpus& corpus, std::vector<ListTask>* tasks);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_LIST_ORDER_H_
