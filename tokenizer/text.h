// Helpers for UTF-8 and GPT-2's byte alphabet.
#ifndef FLAME_TOKENIZER_TEXT_H_
#define FLAME_TOKENIZER_TEXT_H_

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace flame {

// Hash maps keyed by string that are searched by string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// Replaces each maximal subpart of an ill-formed sequence by one U+FFFD (The Unicode Standard, 3.9,
// "U+FFFD Substitution of Maximal Subparts"), as Python and Rust do.
std::string ReplaceInvalidUtf8(std::string_view bytes);
bool IsValidUtf8(std::string_view bytes);

// Returns the bytes of the character that starts with `lead` in well-formed UTF-8.
inline size_t Utf8Size(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Return the first and the last character of a text, which must not be empty.
inline std::string_view FirstCharacter(std::string_view text) {
  return text.substr(0, Utf8Size(text[0]));
}
std::string_view LastCharacter(std::string_view text);

void ReplaceAll(std::string_view from, std::string_view to, std::string* text);

// GPT-2's reversible alphabet: byte b is written as the UTF-8 character ByteCharacters()[b].
const std::array<std::string, 256>& ByteCharacters();
// Appends `bytes` in that alphabet to `out`.
void AppendByteCharacters(std::string_view bytes, std::string* out);
// Returns the bytes that `text` stands for; nothing if a character is not of the alphabet.
std::optional<std::string> BytesOfCharacters(std::string_view text);

}  // namespace flame

#endif  // FLAME_TOKENIZER_TEXT_H_
