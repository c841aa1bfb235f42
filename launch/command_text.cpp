#include "launch/command_text.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <openssl/evp.h>

#include <boost/program_options.hpp>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "data/tokenizer.h"
#include "data/tokenizer_stream.h"
#include "model/decoder.h"
#include "model/policy.h"
#include "rollout/sampler.h"

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

// Answers every line that is not blank.
void AnswerLines(const std::function<json(const json&)>& answer) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      const json question = json::parse(line);
      if (!question.is_object()) throw DataError("expected a JSON object, found ", line);
      if (!(std::cout << answer(question).dump() << std::endl)) {
        throw MachineError("cannot write its answer to stdout");
      }
    } catch (const json::exception& error) {
      throw DataError("line ", number, " of stdin: ", error.what());
    } catch (const Error& error) {
      throw Error(error.status(), StrCat("line ", number, " of stdin: ", error.what()));
    }
  }
}

const json& Member(const json& question, const char* name) {
  if (!question.contains(name)) {
    throw DataError("expected a member '", name, "', found ", question.dump());
  }
  return question[name];
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
  if (question.contains("bytes_base64")) return DecodeBase64(question["bytes_base64"]);
  return Member(question, "text");
}

// Token ids that `policy` knows, slots included; at least one.
std::vector<int32_t> IdsOf(const json& ids, const Policy& policy) {
  int64_t end = policy.config().vocab_size;
  for (const EntitySlots& slots : policy.entities()) {
    end = std::max(end, slots.first_token + slots.collab.size(0));
  }
  const auto values = ids.get<std::vector<int64_t>>();
  if (values.empty()) throw DataError("expected at least one token id, found none");
  for (const int64_t id : values) {
    if (id < 0 || id >= end) throw DataError("token id ", id, "; expected 0 to ", end - 1);
  }
  return {values.begin(), values.end()};
}

Policy LoadPolicy(const po::variables_map& values) {
  Policy policy = Policy::Load(values["model"].as<std::string>(), at::kFloat);
  if (values.count("adapter") != 0) {
    if (policy.has_adapters()) policy.MergeAdapters();
    policy.LoadAdapters(values["adapter"].as<std::string>());
  }
  return policy;
}

void AddModelOptions(po::options_description* options) {
  options->add_options()("help,h", "this text")                                                //
      ("model", po::value<std::string>()->required(), "Hugging Face folder of a Llama model")  //
      ("adapter", po::value<std::string>(), "LoRA folder in peft's format");
}

struct GenerateOptions {
  int64_t max_tokens = 64;
  double temperature = 1;  // 0: greedy
  uint64_t seed = 0;
};

std::optional<po::variables_map> ParseGenerate(const std::vector<std::string>& arguments,
                                               GenerateOptions* generate) {
  po::options_description options("Options");
  AddModelOptions(&options);
  options.add_options()("greedy", "the likeliest token each time (temperature 0)")            //
      ("max-tokens", po::value(&generate->max_tokens)->default_value(64), "at most so many")  //
      ("temperature", po::value(&generate->temperature)->default_value(1), "of sampling")     //
      ("seed", po::value(&generate->seed)->default_value(0), "of sampling");
  auto values =
      Parse(arguments, "generate",
            "echo '{\"text\": \"Once upon a time\"}' | flame generate --model DIR "
            "--greedy --max-tokens 40\n\n"
            "JSON lines {\"ids\"} or {\"text\"} to {\"ids\", \"text\", \"logprobs\"} of the "
            "continuation.\n",
            options);
  if (!values) return values;
  if (generate->max_tokens < 1) {
    throw UsageError("--max-tokens is ", generate->max_tokens, "; expected at least 1");
  }
  if (!(generate->temperature >= 0)) {
    throw UsageError("--temperature is ", generate->temperature, "; expected at least 0");
  }
  if (values->count("greedy") != 0) generate->temperature = 0;
  return values;
}

// Prompt number `index` of the input continued. A token depends on (seed, index, position) only.
json Continue(const Policy& policy, const Tokenizer* tokenizer, const GenerateOptions& options,
              const std::vector<int32_t>& prompt, int64_t index) {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  Decoder decoder(policy, /*adapters=*/true);
  at::Tensor logits = decoder.Prefill({prompt}, /*group_size=*/1, options.max_tokens);
  while (true) {
    const auto position = static_cast<int64_t>(ids.size());
    const at::Tensor row = logits.contiguous();
    const Choice choice = ChooseToken(row.const_data_ptr<float>(), row.size(1), options.temperature,
                                      SamplingUniform(options.seed, index, /*member=*/0, position));
    if (choice.token < 0) throw DataError("the model gives logits that are not finite");
    ids.push_back(choice.token);
    logprobs.push_back(choice.logprob);
    if (choice.token == policy.config().eos_id || position + 1 == options.max_tokens) break;
    logits = decoder.Step(at::tensor(std::vector<int64_t>{choice.token}, at::kLong));
  }
  json answer = {{"ids", ids}, {"logprobs", logprobs}};
  answer["text"] = tokenizer != nullptr ? json(tokenizer->Decode(ids)) : json();
  return answer;
}

json ScoreFamily(const Policy& policy, const json& question) {
  Family family;
  family.trunk = IdsOf(Member(question, "trunk"), policy);
  for (const json& branch : Member(question, "branches")) {
    family.branches.push_back({IdsOf(branch, policy), /*loss_from=*/0});
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
      policy.LogProbs(hidden, batch.sources, batch.targets).to(at::kFloat).contiguous();
  const float* values = logprobs.const_data_ptr<float>();
  json rows = json::array();
  for (size_t k = 0; k < family.branches.size(); ++k) {
    const int64_t begin = batch.target_offsets[k], end = batch.target_offsets[k + 1];
    rows.push_back(std::vector<float>(values + begin, values + end));
  }
  return {{"logprobs", rows}};
}

// The text of token ids, and what each of them completed of it.
json DecodeIds(const Tokenizer& tokenizer, const json& values) {
  const auto ids = values.get<std::vector<int32_t>>();
  DecodeStream stream(tokenizer);
  json pieces = json::array();
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer.size()) {
      throw DataError("token id ", id, "; expected 0 to ", tokenizer.size() - 1);
    }
    pieces.push_back(stream.Add(id));
  }
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
    if (question.contains("ids")) return DecodeIds(tokenizer, question["ids"]);
    return json{{"ids", tokenizer.Encode(TextOf(question), special)}};
  });
  return 0;
}

int RunGenerate(const std::vector<std::string>& arguments) {
  GenerateOptions generate;
  const auto values = ParseGenerate(arguments, &generate);
  if (!values) return 0;
  const at::NoGradGuard no_grad;
  const Policy policy = LoadPolicy(*values);
  const std::filesystem::path file =
      std::filesystem::path((*values)["model"].as<std::string>()) / "tokenizer.json";
  std::optional<Tokenizer> tokenizer;
  if (std::filesystem::exists(file)) tokenizer.emplace(Tokenizer::Load(file));
  int64_t index = 0;
  AnswerLines([&](const json& question) {
    if (!question.contains("ids") && !tokenizer) {
      throw DataError("expected 'ids', as there is no ", file.string());
    }
    const json prompt = question.contains("ids") ? question["ids"]
                                                 : json(tokenizer->Encode(TextOf(question), true));
    return Continue(policy, tokenizer ? &*tokenizer : nullptr, generate, IdsOf(prompt, policy),
                    index++);
  });
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
