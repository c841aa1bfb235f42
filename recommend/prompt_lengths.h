// Checks before a stage's first step that the model has a position for every token of its prompts.
#ifndef FLAME_RECOMMEND_PROMPT_LENGTHS_H_
#define FLAME_RECOMMEND_PROMPT_LENGTHS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data/list_task.h"
#include "recommend/materials.h"

namespace flame {

// Each throws DataError if a sequence is longer than `max_positions` (max_position_embeddings of
// the model), with the number of visits, the longest and what to change.

// The classifier's sequences: a visit's prompt and its longest candidate.
void CheckClassifierLengths(const Materials& materials, int64_t max_positions);
// The list policy's in SFT: a task's prompt and its answer.
void CheckListLengths(const Materials& materials, const std::vector<ListTask>& tasks,
                      int64_t max_positions);
// The list policy's in GRPO: a task's prompt and a completion of `max_tokens` (grpo.max_tokens).
void CheckCompletionLengths(const Materials& materials, const std::vector<ListTask>& tasks,
                            int64_t max_tokens, int64_t max_positions);

}  // namespace flame

#endif  // FLAME_RECOMMEND_PROMPT_LENGTHS_H_
