// Runs the split patterns of tokenizer.json, which are written for Oniguruma, through PCRE2.
#ifndef FLAME_TOKENIZER_REGEX_H_
#define FLAME_TOKENIZER_REGEX_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace flame {

// GPT-2's split pattern (github.com/openai/gpt-2, src/encoder.py).
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Returns the pattern that matches `text` alone.
std::string LiteralPattern(std::string_view text);

class SplitPattern {
 public:
  // Throws DataError, which begins with `where`, on a pattern that ToPcre2 refuses, that PCRE2 does
  // not compile or that matches the empty text.
  SplitPattern(std::string_view pattern, const std::string& where);

  // Gives `sink` every match and every gap between matches, in order; together they are `text`,
  // which must be valid UTF-8. The views point into `text`. Throws DataError if a match takes more
  // steps than PCRE2 allows.
  using Sink = std::function<void(std::string_view part, bool is_match)>;
  void Split(std::string_view text, const Sink& sink) const;

 private:
  std::shared_ptr<const void> code_;  // pcre2_code
};

}  // namespace flame

#endif  // FLAME_TOKENIZER_REGEX_H_
