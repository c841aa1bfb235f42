// Completes many prompts by continuous batching.
#ifndef FLAME_ROLLOUT_COMPLETION_H_
#define FLAME_ROLLOUT_COMPLETION_H_

#include <cstdint>
#include <vector>

#include "model/decoder.h"
#include "model/policy.h"
#include "rollout/line_trie.h"
#include "rollout/sampler.h"

namespace flame {

// Tokens of prompts that are computed together; a longer prompt is computed alone.
inline constexpr int64_t kPrefillTokens = 4096;

struct Completion {
  std::vector<int32_t> tokens;  // ends with an id of end_ids unless cut at max_tokens
  std::vector<float> logprobs;  // [tokens]: from ChooseToken, or from ChooseAmong with `lines`
};

struct CompletionPrompt {
  std::vector<int32_t> tokens;  // at least one
  int64_t task_id = 0;          // selects the prompt's random numbers
};

struct CompletionOptions {
  int64_t members = 1;  // completions of each prompt
  int64_t max_tokens = 512;
  SamplingRule rule;
  bool greedy_last = false;  // the last member takes the likeliest tokens, as temperature 0 does
  uint64_t seed = 0;
  std::vector<int32_t> end_ids;  // any of them ends a completion, as max_tokens does
  // Every line must be one of these, except a last line that max_tokens cuts; null: any text.
  const LineTrie* lines = nullptr;
};

// Returns the capacity of a decoder for `num_prompts` prompts; keys and values take `item_bytes`
// each number.
DecoderShape CompletionShape(const PolicyConfig& config, int64_t item_bytes, int64_t num_prompts,
                             int64_t longest_prompt, int64_t members, int64_t max_tokens);

// Returns completions[p][m] for prompt p and member m. The number that draws token t of a member
// depends only on (seed, task id, member, t), so it does not matter what is decoded at the same
// time. A prompt is computed once for its members; when a member ends, the next one takes its
// place. Throws UsageError if a prompt plus max_tokens exceeds the policy's positions, and
// MachineError, naming task, member and position, if logits are not finite.
std::vector<std::vector<Completion>> CompletePrompts(const Policy& policy,
                                                     const std::vector<CompletionPrompt>& prompts,
                                                     const CompletionOptions& options);

}  // namespace flame

#endif  // FLAME_ROLLOUT_COMPLETION_H_
