// Byte-pair encoding from a Hugging Face tokenizer.json: byte-level (split patterns as in GPT-2 and
// Llama 3, through PCRE2) and Metaspace or Prepend and Replace with byte fallback (as in Llama 2),
// with added tokens. Load refuses anything else in the file by name. Llama 3's encoder.json and
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
  // `path` is a tokenizer.json by any name, an encoder.json with Llama 3's vocab.bpe beside it
  // (tokenizer/pair.h), or a folder that holds either; tokenizer.json is preferred. Throws
  // DataError naming the file and the part that is not supported.
  static Tokenizer Load(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Returns the ids of `text`, as tokenizers.Tokenizer.encode(text, add_special_tokens).ids.
  // Invalid UTF-8 is replaced by U+FFFD first, as Python's bytes.decode(errors="replace") does.
  std::vector<int32_t> Encode(std::string_view text, bool add_special_tokens = false) const;
  // Returns the text of tokenizers.Tokenizer.decode(ids, skip_special_tokens), except that special
  // tokens which the normalizer changes are skipped too. tokenizers 0.23 does not find those, for
  // example "▁</s>".
  std::string Decode(const std::vector<int32_t>& ids, bool skip_special_tokens = true) const;
  // Returns the bytes that one token stands for inside a text, "" for special tokens. Joined over a
  // list of tokens they are the text, apart from a leading space that Decode strips. Throws
  // DataError if there is no such id.
  const std::string& TokenBytes(int32_t id) const;
  bool IsSpecial(int32_t id) const;       // true for an added token that Decode leaves out
  bool IsFallbackByte(int32_t id) const;  // true for "<0xE2>", which Decode joins with others

  // The tokens that Encode puts before a text with `add_special_tokens`, as the post-processor of
  // tokenizer.json says. transformers 5 follows that alone, whatever add_bos_token says.
  const std::vector<int32_t>& prefix_ids() const;

  int32_t size() const;                        // highest id + 1
  int32_t IdOf(std::string_view token) const;  // -1: no such token
  // The ids of the tokens that end and begin a text: from tokenizer_config.json beside the file,
  // else from special_tokens_map.json, else of a well-known name (</s>, <|end_of_text|>,
  // <|end_story|>, ...); -1: none. That there is a beginning token does not mean that a text gets
  // it: see prefix_ids.
  int32_t eos_id() const;
  int32_t bos_id() const;
  // Appends special tokens with the next ids, in order, and returns the first id. Throws DataError
  // if a name is empty or exists already, or if the ids of the vocabulary have gaps.
  int32_t AddSpecialTokens(const std::vector<std::string>& names);
  // Writes tokenizer.json (added tokens included), tokenizer_config.json and
  // special_tokens_map.json, which transformers.AutoTokenizer loads. The chat template gives the
  // texts of the messages behind prefix_ids, and nothing else: prompts are plain text.
  void Save(const std::filesystem::path& folder) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Trains a byte-level BPE tokenizer.json on `texts` (Sennrich et al. 2016 over GPT-2's bytes and
// split pattern). Ties go to the lower pair of ids, so the same texts give the same file. The
// special tokens <|begin_of_text|> and <|end_of_text|> come first. The file has `vocab_size`
// tokens, or fewer if no further pair occurs twice. Throws UsageError if `vocab_size` is below 258.
void TrainTokenizer(const std::vector<std::string>& texts, int32_t vocab_size,
                    const std::filesystem::path& tokenizer_json);

}  // namespace flame

#endif  // FLAME_TOKENIZER_TOKENIZER_H_
