// Oniguruma's patterns, which tokenizer.json holds, in PCRE2's language.
#ifndef FLAME_TOKENIZER_PATTERN_TRANSLATOR_H_
#define FLAME_TOKENIZER_PATTERN_TRANSLATOR_H_

#include <string>
#include <string_view>

namespace flame {

// Returns the pattern with which PCRE2 (UTF and UCP on) matches what Oniguruma matches with
// `pattern` (doc/RE of Oniguruma 6.9, its own syntax). Throws DataError, which begins with `where`
// and names the part, on what PCRE2 reads differently and cannot be translated.
//
// Translated:
//   \s        the property White_Space; PCRE2's \s has U+180E too
//   \p{Lu}    a general category as of Unicode 16; scripts and other properties are refused
//   ^ $       the begin and end of every line, not only of the text
//   {,n}      {0,n}
// Refused:
//   {n,m}+    repeats a greedy quantifier, where PCRE2's is possessive
//   {n}?      makes the n optional, where PCRE2's is lazy
//   [a&&b]    intersects; [a[b]] unites; [[:alpha:]] has Unicode's letters
//   (?m:.)    lets the dot match line breaks; other letters differ likewise. Only i is accepted,
//             for a group or for the whole pattern
//   (?i:ss)   matches "\u00df" too: without case, sequences that one letter folds to, letters
//   beyond
//             ASCII, and properties in a class
std::string ToPcre2(std::string_view pattern, const std::string& where);

}  // namespace flame

#endif  // FLAME_TOKENIZER_PATTERN_TRANSLATOR_H_
