#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/added_tokens.h"

#include <pcre2.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "tokenizer/unicode_additions.h"

namespace flame {
namespace {

// A compiled class of characters (word characters or white space), matched with one character.
class EndPattern {
 public:
  explicit EndPattern(const std::string& pattern) {
    int error = 0;
    size_t offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
    if (code_ == nullptr) throw MachineError("PCRE2 does not compile ", pattern, ": ", error);
  }
  bool Matches(std::string_view character) const {
    std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
        pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
    return pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(character.data()),
                       character.size(), 0, PCRE2_NO_UTF_CHECK, match.get(), nullptr) >= 0;
  }

 private:
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> code_{nullptr, pcre2_code_free};
};

// True for \w as Unicode Technical Standard 18, annex C, defines it.
bool IsWordCharacter(std::string_view character) {
  static const EndPattern pattern(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control})" +
                                  AdditionsTo("L") + AdditionsTo("M") + AdditionsTo("Nd") + "]");
  return pattern.Matches(character);
}

bool IsWhiteSpace(std::string_view character) {
  static const EndPattern pattern(R"(\p{White_Space})");
  return pattern.Matches(character);
}

bool StandsAlone(std::string_view before, std::string_view after) {
  return (before.empty() || !IsWordCharacter(LastCharacter(before))) &&
         (after.empty() || !IsWordCharacter(FirstCharacter(after)));
}

size_t TrailingSpace(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const std::string_view last = LastCharacter(text.substr(0, text.size() - size));
    if (!IsWhiteSpace(last)) break;
    size += last.size();
  }
  return size;
}

size_t LeadingSpace(std::string_view text) {
  size_t size = 0;
  while (size < text.size()) {
    const std::string_view first = FirstCharacter(text.substr(size));
    if (!IsWhiteSpace(first)) break;
    size += first.size();
  }
  return size;
}

}  // namespace

void AddedTokenMatcher::Add(const std::string& pattern, const AddedToken* token) {
  tokens_[pattern] = token;
  first_bytes_.set(static_cast<unsigned char>(pattern[0]));
  sizes_.insert(pattern.size());
}

const AddedToken* AddedTokenMatcher::LongestAt(std::string_view text, size_t* size) const {
  if (!first_bytes_[static_cast<unsigned char>(text[0])]) return nullptr;
  for (auto it = sizes_.lower_bound(text.size()); it != sizes_.end(); ++it) {
    const auto found = tokens_.find(text.substr(0, *it));
    if (found == tokens_.end()) continue;
    *size = *it;
    return found->second;
  }
  return nullptr;
}

std::vector<AddedTokenMatcher::Part> AddedTokenMatcher::Split(std::string_view text) const {
  std::vector<Part> parts;
  size_t done = 0;  // end of the last part
  size_t size = 0;
  for (size_t at = 0; at < text.size();) {
    const AddedToken* token = LongestAt(text.substr(at), &size);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + size;
    at = end;
    if (token->single_word && !StandsAlone(text.substr(0, begin), text.substr(end))) continue;
    if (token->lstrip) begin = std::max(begin - TrailingSpace(text.substr(0, begin)), done);
    if (token->rstrip) end += LeadingSpace(text.substr(end));
    if (done < begin) parts.push_back({text.substr(done, begin - done), nullptr});
    parts.push_back({{}, token});
    done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done), nullptr});
  return parts;
}

}  // namespace flame
