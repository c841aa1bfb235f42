// Log-probabilities of completions whose lines were sampled from a fixed set of lines.
#ifndef FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_
#define FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/family.h"
#include "rollout/line_trie.h"

namespace flame {

// The tokens that the sampler could have chosen at each of the N target tokens of packed families
// whose branches are whole completions.
struct AllowedTokens {
  std::vector<int64_t> token_ids;  // ascending; the K tokens that are allowed at any target
  at::Tensor allowed;              // bool [N, K], on the CPU
  at::Tensor targets;              // int64 [N]: columns of `allowed`
};

// Throws DataError if a completion does not consist of lines of the set.
AllowedTokens FindAllowed(const LineTrie& lines, const std::vector<Family>& families);

// Returns the log-probability of each target, [N]: log softmax(logits / temperature) over the
// target's allowed tokens, as ChooseAmong records it. `logits` are those of token_ids, [N, K].
// `entropy` receives the entropies of these distributions, [N], without gradient.
at::Tensor LogProbsAmong(const AllowedTokens& tokens, const at::Tensor& logits, double temperature,
                         at::Tensor* entropy = nullptr);

}  // namespace flame

#endif  // FLAME_TRAINER_GRPO_ALLOWED_TOKENS_H_
