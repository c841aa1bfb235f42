#include "launch/command/text.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <openssl/evp.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cmath>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "launch/command/json_lines.h"
#include "launch/run/device.h"
#include "model/policy.h"
#include "model/shapes.h"
#include "rollout/completion.h"
#include "tokenizer/stream.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

namespace po = boost::program_options;
using nlohmann::json;

// Nothing: help was asked for and printed. `usage` begins with an example.
std::optional<po::variables_map> Parse(const std::vector<std::string>& arguments,
                                       const char* command, const char* usage,
                                       const po::options_description& options) {
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(options).run(), values);
    if (values.count("help") != 0) {
      std::cout << usage << "\n" << options;
      return std::nullopt;
    }
    po::notify(values);
  } catch (const po::error& error) {
    throw UsageError(error.what(), "; see flame ", command, " --help");
  }
  return values;
}

std::string DecodeBase64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  const bool padded_inside = text.find('=') < text.size() - padding;
  if (size < 0 || text.size() % 4 != 0 || padded_inside) {
    throw DataError("'", text, "' is not base64");
  }
  bytes.resize(size - padding);
  return bytes;
}

std::string TextOf(const json& question) {
  CheckOneOf(question, {"ids", "text", "bytes_base64"});
  if (question.contains("bytes_base64"))
    return DecodeBase64(StringMember(question, "bytes_base64"));
  return StringMember(question, "text");
}

// Token ids, from 0 to below `end`. `what` they are, for messages.
std::vector<int32_t> IdsBelow(const json& ids, int64_t end, const std::string& what) {
  if (!ids.is_array()) {
    throw DataError(what, " is ", ids.dump(), "; expected a list of token ids");
  }
  std::vector<int32_t> values;
  for (const json& id : ids) {
    if (!id.is_number_integer() || id < 0 || id >= end) {
      throw DataError("token id ", id.dump(), " in ", what, "; expected a whole number, 0 to ",
                      end - 1);
    }
    values.push_back(id.get<int32_t>());
  }
  return values;
}

// Token ids that `policy` knows, slots included; at least one.
std::vector<int32_t> IdsOf(const json& ids, const Policy& policy, const std::string& what) {
  int64_t end = policy.config().vocab_size;
  for (const EntitySlots& slots : policy.entities()) {
    end = std::max(end, slots.first_token + slots.collab.size(0));
  }
  const std::vector<int32_t> values = IdsBelow(ids, end, what);
  if (values.empty()) throw DataError(what, " is empty; expected at least one token id");
  return values;
}

Policy LoadPolicy(const po::variables_map& values) {
  const c10::Device device = OpenDevice(values["device"].as<std::string>());
  if (!device.is_cpu() && DtypeOf(values["dtype"].as<std::string>()) == at::kDouble) {
    throw UsageError("--dtype is float64 with --device cuda; expected float32 or bfloat16");
  }
  Policy policy =
      Policy::Load(values["model"].as<std::string>(), DtypeOf(values["dtype"].as<std::string>()),
                   QuantizationOf(values["quantize"].as<std::string>()));
  if (values.count("adapter") != 0) {
    if (policy.has_adapters()) policy.MergeAdapters();
    policy.LoadAdapters(values["adapter"].as<std::string>());
  }
  policy.MoveTo(device);
  return policy;
}

void AddModelOptions(po::options_description* options) {
  options->add_options()("help,h", "this text")  //
      ("model", po::value<std::string>()->required(),
       "Hugging Face folder of a Llama or Qwen model")                       //
      ("adapter", po::value<std::string>(), "LoRA folder in peft's format")  //
      ("dtype", po::value<std::string>()->default_value("float32"),
       "of weights and activations: float32, float64 or bfloat16")               //
      ("device", po::value<std::string>()->default_value("cpu"), "cpu or cuda")  //
      ("quantize", po::value<std::string>()->default_value("none"),
       "the blocks' weights as none, int8 or nf4");
}

std::optional<po::variables_map> ParseGenerate(const std::vector<std::string>& arguments,
                                               CompletionOptions* generate) {
  po::options_description options("Options");
  AddModelOptions(&options);
  SamplingRule& rule = generate->rule;
  options.add_options()("greedy", "the likeliest token each time (temperature 0)")                //
      ("max-tokens", po::value(&generate->max_tokens)->default_value(64), "at most so many")      //
      ("samples", po::value(&generate->members)->default_value(1), "answers to each line")        //
      ("temperature", po::value(&rule.temperature)->default_value(1), "of sampling")              //
      ("top-k", po::value(&rule.top_k)->default_value(0), "likeliest tokens drawn from; 0: all")  //
      ("top-p", po::value(&rule.top_p)->default_value(1), "probability of those drawn from")      //
      ("seed", po::value(&generate->seed)->default_value(0), "of sampling");
  auto values =
      Parse(arguments, "generate",
            "echo '{\"text\": \"Once upon a time\"}' | flame generate --model DIR "
            "--greedy --max-tokens 40\n\n"
            "JSON lines {\"ids\"} or {\"text\"} to {\"ids\", \"text\", \"logprobs\"} of the "
            "continuation.\n",
            options);
  if (!values) return values;
  const auto check = [](bool right, const char* name, auto value, const char* expected) {
    if (!right) throw UsageError(name, " is ", value, "; expected ", expected);
  };
  check(generate->max_tokens >= 1, "--max-tokens", generate->max_tokens, "at least 1");
  check(generate->members >= 1, "--samples", generate->members, "at least 1");
  check(rule.temperature == 0 || (rule.temperature >= 1e-6 && std::isfinite(rule.temperature)),
        "--temperature", rule.temperature, "0 (greedy) or a number of at least 1e-6");
  check(rule.top_k >= 0, "--top-k", rule.top_k, "at least 0");
  check(rule.top_p > 0 && rule.top_p <= 1, "--top-p", rule.top_p, "more than 0 and at most 1");
  if (values->count("greedy") != 0) {
    for (const char* name : {"temperature", "top-k", "top-p"}) {
      if ((*values)[name].defaulted()) continue;
      throw UsageError("--greedy and --", name, " are both given; expected one of them");
    }
    rule.temperature = 0;
  }
  return values;
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

json ScoreFamily(const Policy& policy, const json& question) {
  Family family;
  family.trunk = IdsOf(Member(question, "trunk"), policy, "'trunk'");
  const json& branches = Member(question, "branches");
  if (!branches.is_array()) {
    throw DataError("'branches' is ", branches.dump(), "; expected a list of lists of token ids");
  }
  for (const json& branch : branches) {
    const std::string what = StrCat("branch ", family.branches.size());
    family.branches.push_back({IdsOf(branch, policy, what), /*loss_from=*/0});
    const size_t length = family.trunk.size() + family.branches.back().tokens.size();
    if (length > static_cast<size_t>(policy.config().max_positions)) {
      throw DataError("trunk and branch ", family.branches.size() - 1, " have ", length,
                      " tokens; the model takes ", policy.config().max_positions);
    }
  }
  if (family.branches.empty()) return {{"logprobs", json::array()}};
  const FamilyBatch batch = PackFamilies({family});
  const at::Tensor hidden = policy.Hidden(batch, ForwardOptions());
  const at::Tensor logprobs =
      policy.LogProbs(hidden, batch.sources, batch.targets).cpu().to(at::kFloat).contiguous();
  const float* values = logprobs.const_data_ptr<float>();
  json rows = json::array();
  for (size_t k = 0; k < family.branches.size(); ++k) {
    const int64_t begin = batch.target_offsets[k], end = batch.target_offsets[k + 1];
    if (!std::all_of(values + begin, values + end, [](float x) { return std::isfinite(x); })) {
      throw MachineError("the policy gives log-probabilities that are not finite for branch ", k);
    }
    rows.push_back(std::vector<float>(values + begin, values + end));
  }
  return {{"logprobs", rows}};
}

// The text of token ids, and what each of them completed of it.
json DecodeIds(const Tokenizer& tokenizer, const json& values) {
  const std::vector<int32_t> ids = IdsBelow(values, tokenizer.size(), "'ids'");
  DecodeStream stream(tokenizer);
  json pieces = json::array();
  for (const int32_t id : ids) pieces.push_back(stream.Add(id));
  pieces.push_back(stream.Finish());
  return {{"text", tokenizer.Decode(ids)}, {"pieces", pieces}};
}

}  // namespace

int RunTokenize(const std::vector<std::string>& arguments) {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")  //
      ("tokenizer", po::value<std::string>()->required(),
       "tokenizer.json, Llama 3's encoder.json (vocab.bpe beside it), or their folder")  //
      ("no-special-tokens", "leave out what the file puts around a text (its post_processor)");
  const auto values =
      Parse(arguments, "tokenize",
            "echo '{\"text\": \"Sepsis, 5 mg\"}' | flame tokenize --tokenizer "
            "model/tokenizer.json\n\n"
            "JSON lines {\"text\"} or {\"bytes_base64\"} to {\"ids\"}; {\"ids\"} to "
            "{\"text\", \"pieces\"}: what each id\ncompletes of the text, then what "
            "never became a character. Special tokens have no text.\n",
            options);
  if (!values) return 0;
  const Tokenizer tokenizer = Tokenizer::Load((*values)["tokenizer"].as<std::string>());
  const bool special = values->count("no-special-tokens") == 0;
  AnswerLines([&](const json& question) {
    CheckOneOf(question, {"ids", "text", "bytes_base64"});
    if (question.contains("ids")) return DecodeIds(tokenizer, question["ids"]);
    return json{{"ids", tokenizer.Encode(TextOf(question), special)}};
  });
  return 0;
}

int RunGenerate(const std::vector<std::string>& arguments) {
  CompletionOptions options;
  const auto values = ParseGenerate(arguments, &options);
  if (!values) return 0;
  const at::NoGradGuard no_grad;
  const Policy policy = LoadPolicy(*values);
  options.end_ids = policy.config().end_ids;
  const std::filesystem::path folder = (*values)["model"].as<std::string>();
  Generator(policy, folder / "tokenizer.json", options).Run();
  return 0;
}

int RunScore(const std::vector<std::string>& arguments) {
  po::options_description options("Options");
  AddModelOptions(&options);
  const auto values = Parse(arguments, "score",
                            "echo '{\"trunk\": [1, 5], \"branches\": [[7, 8], [9]]}' | flame score "
                            "--model DIR\n\n"
                            "JSON lines, a family each, to {\"logprobs\": [[...], ...]}: one "
                            "number a branch token.\n",
                            options);
  if (!values) return 0;
  const at::NoGradGuard no_grad;
  const Policy policy = LoadPolicy(*values);
  AnswerLines([&](const json& question) { return ScoreFamily(policy, question); });
  return 0;
}

}  // namespace flame
