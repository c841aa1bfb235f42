// Completions of many prompts by continuous batching.
#ifndef FLAME_ROLLOUT_COMPLETION_H_
#define FLAME_ROLLOUT_COMPLETION_H_

#include <cstdint>
#include <vector>

#include "model/decoder.h"
#include "model/policy.h"
#include "rollout/line_trie.h"
#include "rollout/sampler.h"

namespace flame {

// Tokens of the prompts that are computed together; a longer one is computed alone.
inline constexpr int64_t kPrefillTokens = 4096;

struct Completion {
  std::vector<int32_t> tokens;  // ends with one of end_ids unless cut at max_tokens
  std::vector<float> logprobs;  // of each token, as ChooseToken; with `lines` as ChooseAmong
};

struct CompletionPrompt {
  std::vector<int32_t> tokens;  // at least one
  int64_t task_id = 0;          // names the prompt's random numbers
};

struct CompletionOptions {
  int64_t members = 1;  // completions of each prompt
  int64_t max_tokens = 512;
  SamplingRule rule;
  uint64_t seed = 0;
  std::vector<int32_t> end_ids;  // any ends a completion, as max_tokens does
  // Every line must be one of these, but the last one where max_tokens cuts it; null: any text.
  const LineTrie* lines = nullptr;
};

// Room of the decoder that completes so many prompts; keys and values of numbers of `item_bytes`.
DecoderShape CompletionShape(const PolicyConfig& config, int64_t item_bytes, int64_t num_prompts,
                             int64_t longest_prompt, int64_t members, int64_t max_tokens);

// completions[p][m] of prompt p. Token t of a member is drawn by a number that depends on (seed,
// task id, member, t) only, so it does not matter what is decoded beside it. A prompt is computed
// once for its members; as soon as a member ends, the next one takes its place. Throws UsageError
// where a prompt plus max_tokens exceeds the policy's positions, MachineError naming task, member
// and position where logits are not finite.
std::vector<std::vector<Completion>> CompletePrompts(const Policy& policy,
                                                     const std::vector<CompletionPrompt>& prompts,
                                                     const CompletionOptions& options);

}  // namespace flame

#endif  // FLAME_ROLLOUT_COMPLETION_H_
