#include "tokenizer/text.h"

#include <cstdint>
#include <cstring>

namespace flame {
namespace {

struct Decoded {
  size_t size = 1;  // bytes consumed: a character or a maximal subpart
  bool valid = false;
};

// Follows table 3-7 of The Unicode Standard: the lead byte fixes the length and the range of the
// second byte.
Decoded DecodeOne(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  unsigned low = 0x80, high = 0xBF;
  if (lead == 0xE0) low = 0xA0;
  if (lead == 0xED) high = 0x9F;
  if (lead == 0xF0) low = 0x90;
  if (lead == 0xF4) high = 0x8F;
  for (size_t i = 1; i < size; ++i) {
    if (i >= bytes.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80, high = 0xBF;
  }
  return {size, true};
}

std::string Utf8Of(unsigned code) {  // below U+0800
  if (code < 0x80) return std::string(1, static_cast<char>(code));
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

bool IsPrintable(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Returns the size of an ASCII prefix, in steps of eight bytes because most text is ASCII.
size_t AsciiPrefix(std::string_view bytes) {
  size_t size = 0;
  for (uint64_t word; size + sizeof(word) <= bytes.size(); size += sizeof(word)) {
    std::memcpy(&word, bytes.data() + size, sizeof(word));
    if ((word & 0x8080808080808080u) != 0) break;
  }
  return size;
}

}  // namespace

bool IsValidUtf8(std::string_view bytes) {
  while (true) {
    bytes.remove_prefix(AsciiPrefix(bytes));
    if (bytes.empty()) return true;
    const Decoded next = DecodeOne(bytes);
    if (!next.valid) return false;
    bytes.remove_prefix(next.size);
  }
}

std::string ReplaceInvalidUtf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const Decoded next = DecodeOne(bytes);
    out += next.valid ? bytes.substr(0, next.size) : kReplacementCharacter;
    bytes.remove_prefix(next.size);
  }
  return out;
}

std::string_view LastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

void ReplaceAll(std::string_view from, std::string_view to, std::string* text) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = text->find(from, begin)) != std::string::npos; begin = at + from.size()) {
    out.append(*text, begin, at - begin).append(to);
  }
  if (begin == 0) return;
  out.append(*text, begin);
  *text = std::move(out);
}

const std::array<std::string, 256>& ByteCharacters() {
  static const auto table = [] {
    std::array<std::string, 256> characters;
    unsigned next = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      characters[byte] = Utf8Of(IsPrintable(byte) ? byte : next++);
    }
    return characters;
  }();
  return table;
}

void AppendByteCharacters(std::string_view bytes, std::string* out) {
  for (const char c : bytes) *out += ByteCharacters()[static_cast<unsigned char>(c)];
}

std::optional<std::string> BytesOfCharacters(std::string_view text) {
  static const auto table = [] {
    std::unordered_map<std::string_view, char> bytes;
    for (int b = 0; b < 256; ++b) bytes[ByteCharacters()[b]] = static_cast<char>(b);
    return bytes;
  }();
  std::string out;
  while (!text.empty()) {
    const auto found = table.find(text.substr(0, Utf8Size(text[0])));
    if (found == table.end()) return std::nullopt;
    out += found->second;
    text.remove_prefix(found->first.size());
  }
  return out;
}

}  // namespace flame
