// Runs the split patterns of tokenizer.json through PCRE2. The files are written for Oniguruma.
// Parts that PCRE2 reads differently are translated (\s, newer letters) or refused by name.
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

// The letters that Unicode 16 (of tokenizers 0.23) has and Unicode 14 (of Debian's PCRE2) lacks, as
// items of a character class.
inline constexpr std::string_view kNewerLetters =
    R"(\x{1C89}-\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3})"
    R"(\x{10D4A}-\x{10D65}\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{1123F}-\x{11240})"
    R"(\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3})"
    R"(\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F})"
    R"(\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D}\x{16D40}-\x{16D6C})"
    R"(\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D}\x{1E4D0}-\x{1E4EB})"
    R"(\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";

// Returns the pattern that matches `text` alone.
std::string LiteralPattern(std::string_view text);

class SplitPattern {
 public:
  // Throws DataError, which begins with `where`, on a pattern that PCRE2 does not compile, that
  // matches the empty text or that holds an escape with another meaning in Oniguruma.
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
