// Tokenizers of a few tokens, as tokenizer.json, in the three forms that are read.
#ifndef FLAME_TESTS_TOKENIZER_SMALL_TOKENIZERS_H_
#define FLAME_TESTS_TOKENIZER_SMALL_TOKENIZERS_H_

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "tokenizer/text.h"

namespace flame {

inline nlohmann::json Added(int id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

// A tokenizer that merges "b c" first, then "a b", then "a bc".
inline nlohmann::json Plain() {
  return nlohmann::json::parse(R"({
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "<unk>",
      "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, " ": 4, "ab": 5, "bc": 6, "abc": 7},
      "merges": ["b c", "a b", "a bc"]}})");
}

// A tokenizer like Llama 2's: a mark for spaces and one in front, and byte tokens for characters
// without a token.
inline nlohmann::json Marked() {
  nlohmann::json file = nlohmann::json::parse(R"({
    "added_tokens": [],
    "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                 {"Sequence": {"id": "A", "type_id": 0}}],
      "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
    "decoder": {"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
    "model": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": true, "fuse_unk": true,
      "vocab": {"<unk>": 0, "<s>": 1, "</s>": 2, "▁": 3, "a": 4, "b": 5, "▁a": 6, "▁ab": 7},
      "merges": [["▁", "a"], ["▁a", "b"]]}})");
  file["added_tokens"] = {Added(0, "<unk>"), Added(1, "<s>"), Added(2, "</s>")};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", byte);
    file["model"]["vocab"][name] = 8 + byte;
  }
  return file;
}

// A tokenizer in which every byte is a token whose id is the byte. It merges "h e" and "Ġ h" (a
// space and h).
inline nlohmann::json ByteLevel() {
  nlohmann::json file = nlohmann::json::parse(R"({
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    "post_processor": {"type": "ByteLevel"},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"he": 256, "Ġh": 257}, "merges": ["h e", "Ġ h"]}})");
  for (int b = 0; b < 256; ++b) file["model"]["vocab"][ByteCharacters()[b]] = b;
  file["added_tokens"] = nlohmann::json::array({Added(258, "<|end_of_text|>")});
  return file;
}

}  // namespace flame

#endif  // FLAME_TESTS_TOKENIZER_SMALL_TOKENIZERS_H_
