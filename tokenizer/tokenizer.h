// Byte-pair encoding from a Hugging Face tokenizer.json: byte-level (GPT-2, Llama 3 style split
// patterns through PCRE2) and Metaspace / Prepend+Replace with byte fallback (Llama 2 style), with
// added tokens. Anything else in the file is refused by name at loading. Llama 3's encoder.json and
// vocab.bpe are read as well. Const members are safe from several threads at once.
#ifndef FLAME_TOKENIZER_TOKENIZER_H_
#define FLAME_TOKENIZER_TOKENIZER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

class Tokenizer {
 public:
  // `path`: a tokenizer.json by any name, an encoder.json with Llama 3's vocab.bpe beside it
  // (tokenizer/pair.h), or a folder that holds either; tokenizer.json is preferred. Throws
  // DataError naming the file and the part that is not supported.
  static Tokenizer Load(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Ids of `text`, as tokenizers.Tokenizer.encode(text, add_special_tokens).ids. Invalid UTF-8 is
  // replaced by U+FFFD first, as Python's bytes.decode(errors="replace") does.
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens = false) const;
  // As tokenizers.Tokenizer.decode(ids, skip_special_tokens), but that special tokens are skipped
  // where the normalizer changes them too (tokenizers 0.23 does not find those, e.g. "▁</s>").
  std::string Decode(const std::vector<int32_t>& ids, bool skip_special_tokens = true) const;
  // The bytes that one token stands for within a running text ("" for special tokens), so that the
  // concatenation over a list of tokens is the text (but for a leading space that Decode strips).
  const std::string& TokenBytes(int32_t id) const;
  bool IsSpecial(int32_t id) const;       // an added token that Decode leaves out
  bool IsFallbackByte(int32_t id) const;  // "<0xE2>", which Decode joins with its neighbours

  int32_t size() const;                        // highest id + 1
  int32_t IdOf(std::string_view token) const;  // -1: no such token
  // From tokenizer_config.json beside the file, else the token of a well-known name (</s>,
  // <|end_of_text|>, <|end_story|>, ...); -1: none.
  int32_t eos_id() const;
  int32_t bos_id() const;
  // Appends special tokens with the next ids, in order; returns the first id. Names already there
  // throw DataError.
  int32_t AddSpecialTokens(const std::vector<std::string>& names);
  // Writes tokenizer.json (added tokens included) and tokenizer_config.json with bos and eos, which
  // transformers.AutoTokenizer loads.
  void Save(const std::filesystem::path& folder) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A byte-level BPE tokenizer.json trained on `texts` (Sennrich et al. 2016 over GPT-2's bytes and
// split pattern), ties broken by the lower pair of ids: the same texts give the same file. Special
// tokens <|begin_of_text|> and <|end_of_text|> come first. `vocab_size` >= 258; fewer if no pair
// occurs twice.
void TrainTokenizer(const std::vector<std::string>& texts, int32_t vocab_size,
                    const std::filesystem::path& tokenizer_json);

}  // namespace flame

#endif  // FLAME_TOKENIZER_TOKENIZER_H_
