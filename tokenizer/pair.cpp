#include "tokenizer/pair.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using nlohmann::json;

constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kBegin = "<|begin_of_text|>";
constexpr size_t kNumSpecials = 256;

std::vector<std::string> SpecialTokens() {
  std::vector<std::string> names = {kBegin, "<|end_of_text|>"};
  int reserved = 0;
  const auto reserve = [&](size_t until) {
    while (names.size() < until) {
      names.push_back("<|reserved_special_token_" + std::to_string(reserved++) + "|>");
    }
  };
  reserve(6);
  names.insert(names.end(), {"<|start_header_id|>", "<|end_header_id|>"});
  reserve(9);
  names.emplace_back("<|eot_id|>");
  reserve(kNumSpecials);
  return names;
}

json AddedTokens(size_t first_id) {
  json added = json::array();
  for (const std::string& name : SpecialTokens()) {
    added.push_back({{"id", first_id + added.size()},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return added;
}

json ReadMergeLines(const std::filesystem::path& vocab_bpe) {
  const std::string text = ReadWholeFile(vocab_bpe);
  if (text.starts_with("#version")) {
    throw DataError(vocab_bpe.string(), ": expected Llama 3's merges, found GPT-2's '",
                    text.substr(0, text.find('\n')), "'; use its tokenizer.json");
  }
  json merges = json::array();
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) merges.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return merges;
}

json Stages(size_t begin_id) {
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kLlama3Pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const json begin = {{"SpecialToken", {{"id", kBegin}, {"type_id", 0}}}};
  const auto sequence = [](const char* name) {
    return json{{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  const json token = {
      {"id", kBegin}, {"ids", json::array({begin_id})}, {"tokens", json::array({kBegin})}};
  return {{"pre_tokenizer",
           {{"type", "Sequence"}, {"pretokenizers", json::array({split, byte_level})}}},
          {"decoder", byte_level},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", json::array({begin, sequence("A")})},
            {"pair", json::array({begin, sequence("A"), sequence("B")})},
            {"special_tokens", {{kBegin, token}}}}}};
}

}  // namespace

json ReadTokenizerPair(const std::filesystem::path& encoder_json) {
  json vocab;
  try {
    vocab = json::parse(ReadWholeFile(encoder_json));
  } catch (const json::exception& error) {
    throw DataError(encoder_json.string(), ": expected JSON: ", error.what());
  }
  if (!vocab.is_object() || vocab.empty()) {
    throw DataError(encoder_json.string(), ": expected an object of token to id");
  }
  const size_t num_tokens = vocab.size();
  json file = Stages(num_tokens);
  file["version"] = "1.0";
  file["truncation"] = file["padding"] = file["normalizer"] = nullptr;
  file["added_tokens"] = AddedTokens(num_tokens);
  file["model"] = {{"type", "BPE"},
                   {"ignore_merges", true},
                   {"merges", ReadMergeLines(encoder_json.parent_path() / "vocab.bpe")}};
  file["model"]["vocab"] = std::move(vocab);
  return file;
}

}  // namespace flame
