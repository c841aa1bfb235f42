// Llama 3's tokenizer as published in two files. encoder.json maps tokens in GPT-2's alphabet to
// ids; vocab.bpe holds one merge a line, in order of rank.
#ifndef FLAME_TOKENIZER_PAIR_H_
#define FLAME_TOKENIZER_PAIR_H_

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

namespace flame {

// Makes a tokenizer.json from `encoder_json` and the vocab.bpe beside it. The files lack some
// parts, which are those of Meta's release (github.com/meta-llama/llama3, llama/tokenizer.py): the
// split pattern, whole words before merges, and 256 special tokens, whose ids follow the
// vocabulary's.
// <|begin_of_text|> is put in front of a text. Throws DataError naming the file, also on GPT-2's
// pair, which splits differently (its vocab.bpe begins with #version).
nlohmann::json ReadTokenizerPair(const std::filesystem::path& encoder_json);

}  // namespace flame

#endif  // FLAME_TOKENIZER_PAIR_H_
