// flame generate: continues prompts. Lines that are there together are decoded together; answers
// keep their order, and a token depends on the seed, the line's place, the sample and the position
// only.
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "launch/cli/json_lines.h"
#include "launch/command/command.h"
#include "launch/command/questions.h"
#include "rollout/completion.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

using nlohmann::json;

constexpr int64_t kMost = std::numeric_limits<int32_t>::max();

CompletionOptions CompletionOptionsOf(const ParsedOptions& given) {
  CompletionOptions options;
  options.max_tokens = given.Count("max-tokens", 64, 1, kMost);
  options.members = given.Count("samples", 1, 1, kMost);
  options.seed =
      static_cast<uint64_t>(given.Count("seed", 0, 0, std::numeric_limits<int64_t>::max()));
  SamplingRule& rule = options.rule;
  rule.temperature = given.Number("temperature", 1);
  rule.top_k = given.Count("top-k", 0, 0, kMost);
  rule.top_p = given.Number("top-p", 1);
  if (rule.temperature != 0 && rule.temperature < 1e-6) {
    throw UsageError("--temperature is ", rule.temperature,
                     "; expected 0 (greedy) or a number of at least 1e-6");
  }
  if (!(rule.top_p > 0 && rule.top_p <= 1)) {
    throw UsageError("--top-p is ", rule.top_p, "; expected more than 0 and at most 1");
  }
  if (!given.Has("greedy")) return options;
  for (const char* name : {"temperature", "top-k", "top-p"}) {
    if (!given.Has(name)) continue;
    throw UsageError("--greedy and --", name, " are both given; expected one of them");
  }
  rule.temperature = 0;
  return options;
}

// Continues the prompts of stdin, many lines together where they are there.
class Generator {
 public:
  Generator(const Policy& policy, const std::filesystem::path& tokenizer,
            const CompletionOptions& options)
      : policy_(policy), tokenizer_file_(tokenizer), options_(options) {
    if (std::filesystem::exists(tokenizer)) tokenizer_.emplace(Tokenizer::Load(tokenizer));
  }

  void Run() {
    constexpr size_t kPrompts = 256;
    InputLines input;
    while (true) {
      const std::vector<InputLine> lines = input.Next(kPrompts);
      if (lines.empty()) return;
      std::vector<CompletionPrompt> prompts;
      std::exception_ptr fault;  // of the first line that has one; those before it are answered
      for (size_t i = 0; i < lines.size() && !fault; ++i) {
        try {
          const std::vector<int32_t> ids =
              ForLine(lines[i].number, [&] { return PromptOf(ParseLine(lines[i].text)); });
          prompts.push_back({ids, next_task_++});
        } catch (const Error&) {
          fault = std::current_exception();
        }
      }
      for (const auto& completions : CompletePrompts(policy_, prompts, options_)) {
        for (const Completion& completion : completions) PrintLine(AnswerOf(completion));
      }
      if (fault) std::rethrow_exception(fault);
    }
  }

 private:
  std::vector<int32_t> PromptOf(const json& question) const {
    CheckOneOf(question, {"ids", "text", "bytes_base64"});
    if (!question.contains("ids") && !tokenizer_) {
      throw DataError("expected 'ids', as there is no ", tokenizer_file_.string());
    }
    const std::vector<int32_t> ids =
        IdsOf(question.contains("ids") ? question["ids"]
                                       : json(tokenizer_->Encode(TextOf(question), true)),
              policy_, question.contains("ids") ? "'ids'" : "the text");
    const auto size = static_cast<int64_t>(ids.size());
    if (size + options_.max_tokens > policy_.config().max_positions) {
      throw UsageError("a prompt of ", size, " tokens and ", options_.max_tokens,
                       " to write exceed the model's max_position_embeddings of ",
                       policy_.config().max_positions);
    }
    return ids;
  }

  json AnswerOf(const Completion& completion) const {
    json answer = {{"ids", completion.tokens}, {"logprobs", completion.logprobs}};
    answer["text"] = tokenizer_ ? json(tokenizer_->Decode(completion.tokens)) : json();
    return answer;
  }

  const Policy& policy_;
  std::filesystem::path tokenizer_file_;
  CompletionOptions options_;
  std::optional<Tokenizer> tokenizer_;
  int64_t next_task_ = 0;
};

}  // namespace

int RunGenerate(const ParsedOptions& given) {
  CompletionOptions options = CompletionOptionsOf(given);
  const at::NoGradGuard no_grad;
  const Policy policy = PolicyOf(given);
  options.end_ids = policy.config().end_ids;
  const std::filesystem::path folder = given.Text("model");
  Generator(policy, folder / "tokenizer.json", options).Run();
  return 0;
}

}  // namespace flame
