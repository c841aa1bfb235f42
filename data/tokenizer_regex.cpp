#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/tokenizer_regex.h"

#include <pcre2.h>

#include "base/error.h"

namespace flame {
namespace {

// Oniguruma's \s is the property White_Space; PCRE2's has U+180E too. Its {n,m}+ repeats a greedy
// quantifier, PCRE2's is possessive.
std::string TranslatePattern(std::string_view pattern, const std::string& where) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char next = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    if (pattern[i] == '}' && next == '+') {
      throw DataError(where, ": '{n,m}+' in pattern '", pattern, "' is not supported");
    }
    if (pattern[i] != '\\') {
      out += pattern[i];
      continue;
    }
    ++i;
    if (next == 's' || next == 'S') {
      out += next == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    } else if (isalnum(static_cast<unsigned char>(next)) &&
               std::string_view("pPdDrntx").find(next) == std::string_view::npos) {
      throw DataError(where, ": '\\", next, "' in pattern '", pattern, "' is not supported");
    } else {
      out.append({'\\', next});
    }
  }
  return out;
}

struct MatchData {
  explicit MatchData(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~MatchData() { pcre2_match_data_free(data); }
  pcre2_match_data* data;
};

}  // namespace

SplitPattern::SplitPattern(std::string_view pattern, const std::string& where) {
  const std::string text = TranslatePattern(pattern, where);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                    PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (code == nullptr) {
    char reason[256] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(reason), sizeof(reason));
    throw DataError(where, ": pattern '", text, "': ", reason, " at character ", offset);
  }
  code_ = std::shared_ptr<const void>(code, [](pcre2_code* c) { pcre2_code_free(c); });
  uint32_t matches_empty = 0;
  pcre2_pattern_info(code, PCRE2_INFO_MATCHEMPTY, &matches_empty);
  if (matches_empty) {
    throw DataError(where, ": pattern '", pattern, "' matches the empty text; this is not supported");
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, matching interprets
}

std::vector<std::string_view> SplitPattern::Split(std::string_view text) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const MatchData match(code);
  const size_t* bounds = pcre2_get_ovector_pointer(match.data);
  std::vector<std::string_view> pieces;
  size_t end = 0;
  while (end < text.size()) {
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int rc = pcre2_match(code, subject, text.size(), end, options, match.data, nullptr);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      rc = pcre2_match(code, subject, text.size(), end, options, match.data, nullptr);
    }
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc < 0) throw MachineError("PCRE2 failed with ", rc, " at byte ", end, " of ", text.size());
    if (bounds[0] > end) pieces.push_back(text.substr(end, bounds[0] - end));
    pieces.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
    end = bounds[1];
  }
  if (end < text.size()) pieces.push_back(text.substr(end));
  return pieces;
}

}  // namespace flame
