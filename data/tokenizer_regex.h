// Split patterns of tokenizer.json through PCRE2. The files are written for Oniguruma; what it reads
// differently from PCRE2 is translated (\s, \S) or refused by name.
#ifndef FLAME_DATA_TOKENIZER_REGEX_H_
#define FLAME_DATA_TOKENIZER_REGEX_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace flame {

// GPT-2's split pattern (github.com/openai/gpt-2, src/encoder.py).
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class SplitPattern {
 public:
  // Throws DataError, which begins with `where`, on a pattern that PCRE2 does not compile, that
  // matches the empty text or that holds an escape with another meaning in Oniguruma.
  SplitPattern(std::string_view pattern, const std::string& where);

  // Every match and every gap between matches, in order; together they are `text`, which must be
  // valid UTF-8. The views point into `text`.
  std::vector<std::string_view> Split(std::string_view text) const;

 private:
  std::shared_ptr<const void> code_;  // pcre2_code
};

}  // namespace flame

#endif  // FLAME_DATA_TOKENIZER_REGEX_H_
