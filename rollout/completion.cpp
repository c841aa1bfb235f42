#include "rollout/completion.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "base/error.h"
#include "model/decoder.h"

namespace flame {
namespace {

// Branches at the same time: enough to keep the matrix products busy.
constexpr int64_t kMaxSlots = 256;
// Bytes for the keys and values of all branches and trunks at the same time. Models with larger
// keys and values get fewer branches.
constexpr int64_t kCacheBytes = int64_t{4} << 30;

DecoderShape ShapeFor(const Policy& policy, const std::vector<CompletionPrompt>& prompts,
                      const CompletionOptions& options) {
  int64_t longest = 1;
  for (const CompletionPrompt& prompt : prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.tokens.size()));
  }
  return CompletionShape(
      policy.config(),
      static_cast<int64_t>(policy.parameters().at("model.norm.weight").element_size()),
      static_cast<int64_t>(prompts.size()), longest, options.members, options.max_tokens);
}

class Completer {
 public:
  Completer(const Policy& policy, const std::vector<CompletionPrompt>& prompts,
            const CompletionOptions& options)
      : prompts_(prompts),
        options_(options),
        shape_(ShapeFor(policy, prompts, options)),
        vocab_size_(policy.config().vocab_size),
        decoder_(policy, shape_),
        places_(shape_.places),
        completions_(prompts.size(), std::vector<Completion>(options.members)) {
    for (int64_t slot = shape_.slots; slot-- > 0;) free_slots_.push_back(slot);
  }

  std::vector<std::vector<Completion>> Run() {
    while (true) {
      Admit();
      if (rows_.empty()) return std::move(completions_);
      std::vector<int64_t> slots, tokens;
      for (const Row& row : rows_) {
        slots.push_back(row.slot);
        tokens.push_back(Of(row).tokens.back());
      }
      const at::Tensor logits = decoder_.Step(slots, tokens);
      std::vector<const float*> table;
      for (size_t r = 0; r < rows_.size(); ++r) {
        table.push_back(logits.const_data_ptr<float>() + r * logits.size(1));
      }
      rows_ = Extend(std::move(rows_), table);
    }
  }

 private:
  // A member that is being decoded.
  struct Row {
    size_t prompt = 0;
    int64_t member = 0, place = 0, slot = -1;
    LineTrie::Node node = LineTrie::kStart;
  };
  struct Place {
    int64_t unfinished = 0;  // unfinished members of the prompt in this place; 0: free
    at::Tensor first;        // [V], logits after the prompt
  };

  Completion& Of(const Row& row) { return completions_[row.prompt][row.member]; }

  // Begins members until no slot, no place or no member is left.
  void Admit() {
    while (!free_slots_.empty()) {
      if (waiting_.empty()) Prefill();
      if (waiting_.empty()) return;
      std::vector<Row> begun;
      std::vector<const float*> table;
      for (; !waiting_.empty() && begun.size() < free_slots_.size(); waiting_.pop_back()) {
        begun.push_back(waiting_.back());
        table.push_back(places_[begun.back().place].first.const_data_ptr<float>());
      }
      for (Row& row : Extend(std::move(begun), table)) {
        row.slot = free_slots_.back();
        free_slots_.pop_back();
        decoder_.Begin(row.slot, row.place);
        rows_.push_back(row);
      }
    }
  }

  // Prefills the next prompts, as many as the free slots and places can take.
  void Prefill() {
    std::vector<int64_t> places;
    std::vector<std::vector<int32_t>> trunks;
    std::vector<Row> members;
    int64_t tokens = 0;
    for (size_t p = 0; p < places_.size() && next_ < prompts_.size(); ++p) {
      if (places_[p].unfinished > 0) continue;
      const auto size = static_cast<int64_t>(prompts_[next_].tokens.size());
      if (members.size() >= free_slots_.size()) break;
      if (tokens > 0 && tokens + size > kPrefillTokens) break;
      tokens += size;
      places.push_back(static_cast<int64_t>(p));
      trunks.push_back(prompts_[next_].tokens);
      places_[p].unfinished = options_.members;
      for (int64_t m = 0; m < options_.members; ++m) members.push_back({next_, m, places.back()});
      ++next_;
    }
    if (places.empty()) return;
    const at::Tensor logits = decoder_.Prefill(places, trunks);
    for (size_t i = 0; i < places.size(); ++i) {
      places_[places[i]].first = logits[static_cast<int64_t>(i)];
    }
    waiting_.assign(members.rbegin(), members.rend());
  }

  Choice Choose(const Row& row, const float* logits) {
    const auto position = static_cast<int64_t>(Of(row).tokens.size());
    const double uniform =
        SamplingUniform(options_.seed, prompts_[row.prompt].task_id, row.member, position);
    const bool greedy = options_.greedy_last && row.member == options_.members - 1;
    const SamplingRule rule = greedy ? SamplingRule{.temperature = 0} : options_.rule;
    if (options_.lines == nullptr) return ChooseToken(logits, vocab_size_, rule, uniform);
    return ChooseAmong(logits, options_.lines->Allowed(row.node), rule, uniform);
  }

  // Appends to every row's member a token chosen from the row's logits. Returns the rows that
  // continue; frees the slots and places of the others.
  std::vector<Row> Extend(std::vector<Row> rows, const std::vector<const float*>& table) {
    std::vector<Choice> choices(rows.size());
    at::parallel_for(0, static_cast<int64_t>(rows.size()), 4, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) choices[r] = Choose(rows[r], table[r]);
    });
    std::vector<Row> unfinished;
    for (size_t r = 0; r < rows.size(); ++r) {
      Row& row = rows[r];
      Completion& completion = Of(row);
      const int32_t token = choices[r].token;
      if (token < 0) {
        throw MachineError("the policy gives logits that are not finite for task ",
                           prompts_[row.prompt].task_id, ", member ", row.member, ", position ",
                           completion.tokens.size());
      }
      completion.tokens.push_back(token);
      completion.logprobs.push_back(choices[r].logprob);
      const bool ended = std::find(options_.end_ids.begin(), options_.end_ids.end(), token) !=
                         options_.end_ids.end();
      if (!ended && static_cast<int64_t>(completion.tokens.size()) < options_.max_tokens) {
        if (options_.lines != nullptr) row.node = options_.lines->Next(row.node, token);
        unfinished.push_back(row);
        continue;
      }
      if (row.slot >= 0) free_slots_.push_back(row.slot);
      if (--places_[row.place].unfinished == 0) places_[row.place].first.reset();
    }
    return unfinished;
  }

  const std::vector<CompletionPrompt>& prompts_;
  const CompletionOptions& options_;
  DecoderShape shape_;
  int64_t vocab_size_;
  Decoder decoder_;
  std::vector<Place> places_;
  std::vector<int64_t> free_slots_;
  std::vector<Row> waiting_;  // members of computed prompts, the next one last
  std::vector<Row> rows_;     // members with a slot
  size_t next_ = 0;           // the first prompt that is not prefilled
  std::vector<std::vector<Completion>> completions_;
};

}  // namespace

DecoderShape CompletionShape(const PolicyConfig& config, int64_t item_bytes, int64_t num_prompts,
                             int64_t longest_prompt, int64_t members, int64_t max_tokens) {
  DecoderShape shape;
  shape.trunk_tokens = longest_prompt;
  shape.max_tokens = max_tokens;
  const int64_t token_bytes =
      config.num_layers * config.num_kv_heads * config.head_dim * 2 * item_bytes;
  // Counts one trunk for every full group of branches, and as many again for stragglers.
  const int64_t branch_tokens = shape.max_tokens + 2 * shape.trunk_tokens / members;
  shape.slots = std::clamp<int64_t>(kCacheBytes / (token_bytes * branch_tokens), 1,
                                    std::min(kMaxSlots, num_prompts * members));
  shape.group = std::min(members, shape.slots);
  shape.places = std::min(num_prompts, 2 * (shape.slots + members - 1) / members);
  return shape;
}

std::vector<std::vector<Completion>> CompletePrompts(const Policy& policy,
                                                     const std::vector<CompletionPrompt>& prompts,
                                                     const CompletionOptions& options) {
  if (prompts.empty()) return {};
  return Completer(policy, prompts, options).Run();
}

}  // namespace flame
