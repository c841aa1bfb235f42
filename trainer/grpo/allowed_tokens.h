// Log-probabilities of completions that were sampled line by line from a fixed set of lines.
#ifndef FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_
#define FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "rollout/line_trie.h"

namespace flame {

// What could have stood at each of the N target tokens of packed families, whose branches are whole
// completions.
struct AllowedTokens {
  std::vector<int64_t> token_ids;  // ascending; every token that is allowed somewhere, K in all
  at::Tensor allowed;              // bool [N, K], on the CPU
  at::Tensor targets;              // int64 [N], columns
};

// Throws DataError on a completion that the lines do not give.
AllowedTokens FindAllowed(const LineTrie& lines, const std::vector<Family>& families);

// log softmax(logits / temperature) over each row's allowed tokens, at its target: [N], as
// ChooseAmong records it. logits [N, K] of token_ids. `entropy` receives the [N] entropies of those
// distributions, without gradient.
at::Tensor LogProbsAmong(const AllowedTokens& tokens, const at::Tensor& logits, double temperature,
                         at::Tensor* entropy = nullptr);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_
