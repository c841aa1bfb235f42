// The characters of Unicode 16, by which tokenizers 0.23 splits, that Unicode 14, the version of
// Debian 12's PCRE2, lacks.
#ifndef FLAME_TOKENIZER_UNICODE_ADDITIONS_H_
#define FLAME_TOKENIZER_UNICODE_ADDITIONS_H_

#include <string>
#include <string_view>

namespace flame {

// Returns the characters that were added to a general category ("L", "Lu"), as items of PCRE2's
// character classes; "" if there are none. "Pd" -> "\x{10d6e}". U+1171E moved from Mn to Mc: it is
// one of Mc here, and PCRE2 has it in Mn.
std::string AdditionsTo(std::string_view category);

}  // namespace flame

#endif  // FLAME_TOKENIZER_UNICODE_ADDITIONS_H_
