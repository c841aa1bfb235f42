#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/pattern_translator.h"

namespace flame {
namespace {

struct MatchData {
  explicit MatchData(const pcre2_code* code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)) {}
  ~MatchData() { pcre2_match_data_free(data); }
  pcre2_match_data* data;
};

}  // namespace

std::string LiteralPattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (ispunct(static_cast<unsigned char>(c))) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

SplitPattern::SplitPattern(std::string_view pattern, const std::string& where) {
  const std::string text = ToPcre2(pattern, where);
  int error = 0;
  size_t offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
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
    throw DataError(where, ": pattern '", pattern,
                    "' matches the empty text, which is not "
                    "supported");
  }
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT, PCRE2 interprets
}

void SplitPattern::Split(std::string_view text, const Sink& sink) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const MatchData match(code);
  const size_t* bounds = pcre2_get_ovector_pointer(match.data);
  size_t end = 0;
  while (end < text.size()) {
    uint32_t options = PCRE2_NO_UTF_CHECK;
    int rc = pcre2_match(code, subject, text.size(), end, options, match.data, nullptr);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      rc = pcre2_match(code, subject, text.size(), end, options, match.data, nullptr);
    }
    if (rc == PCRE2_ERROR_NOMATCH) break;
    if (rc == PCRE2_ERROR_MATCHLIMIT) {
      throw DataError("the tokenizer's split pattern needs too many steps for a text of ",
                      text.size(), " bytes, at byte ", end,
                      "; expected a pattern that does not try every way to divide a text");
    }
    if (rc < 0) throw MachineError("PCRE2 failed with ", rc, " at byte ", end, " of ", text.size());
    const size_t begin = bounds[0];
    if (begin > end) sink(text.substr(end, begin - end), false);
    end = bounds[1];
    sink(text.substr(begin, end - begin), true);
  }
  if (end < text.size()) sink(text.substr(end), false);
}

}  // namespace flame
