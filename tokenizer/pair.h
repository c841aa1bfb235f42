// Llama 3's tokenizer as it is published in parts: encoder.json, token to id in GPT-2's alphabet,
// and vocab.bpe, one merge a line, the first merged first.
#ifndef FLAME_TOKENIZER_PAIR_H_
#define FLAME_TOKENIZER_PAIR_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace flame {

// The tokenizer.json made of `encoder_json` and vocab.bpe beside it, with what the pair does not
// say but Meta's release does (github.com/meta-llama/llama3, llama/tokenizer.py): the split
// pattern, whole words before merges, and 256 special tokens, whose ids follow the vocabulary's.
// <|begin_of_text|> is put in front of a text. Throws DataError naming the file, on GPT-2's pair
// too (its vocab.bpe begins with #version), which splits differently.
nlohmann::json ReadTokenizerPair(const std::filesystem::path& encoder_json);

}  // namespace flame

#endif  // FLAME_TOKENIZER_PAIR_H_
