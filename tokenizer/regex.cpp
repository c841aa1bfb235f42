#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include "base/error.h"

namespace flame {
namespace {

// The numbers that Unicode 16 has and Unicode 14 lacks, as kNewerLetters.
constexpr std::string_view kNewerNumbers =
    R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59})"
    R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3})"
    R"(\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})";

// True for a general category. Those mean the same in Oniguruma and PCRE2; scripts and other
// properties do not.
bool IsGeneralCategory(std::string_view name) {
  constexpr std::string_view kMajor = "LMNPSZC";
  return (name.size() == 1 || (name.size() == 2 && islower(name[1]))) &&
         kMajor.find(name[0]) != std::string_view::npos;
}

// Translates a pattern so that PCRE2 matches what Oniguruma matches. Oniguruma's \s is the property
// White_Space; PCRE2's has U+180E too. Oniguruma's {n,m}+ repeats a greedy quantifier; PCRE2's is
// possessive, so it is refused.
class PatternTranslator {
 public:
  PatternTranslator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string Run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        Escape();
        continue;
      }
      if (c == '[') in_class_ = true;
      if (c == ']') in_class_ = false;
      if (c == '}' && !in_class_ && pattern_.substr(at_ + 1).starts_with('+')) Refuse("{n,m}+");
      out_ += c;
      ++at_;
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view part) const {
    throw DataError(where_, ": '", part, "' in pattern '", pattern_, "' is not supported");
  }

  void Escape() {
    const std::string_view escape = pattern_.substr(at_, 2);
    const char c = escape.size() == 2 ? escape[1] : '\0';
    if (c == 'p' || c == 'P') return Property();
    if (c == 's' || c == 'S') {
      out_ += c == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
    } else if (!isalnum(static_cast<unsigned char>(c)) || c == 'r' || c == 'n' || c == 't') {
      out_ += escape;
    } else {
      Refuse(escape);
    }
    at_ += 2;
  }

  void Property() {
    const size_t end = pattern_.find('}', at_);
    if (end == std::string_view::npos) Refuse(pattern_.substr(at_));
    const std::string_view property = pattern_.substr(at_, end + 1 - at_);
    if (!property.substr(2).starts_with('{') ||
        !IsGeneralCategory(property.substr(3, property.size() - 4))) {
      Refuse(property);
    }
    const char kind = property.size() == 5 ? property[3] : '\0';
    const bool complement = property[1] == 'P';
    const std::string_view newer = kind == 'L'   ? kNewerLetters
                                   : kind == 'N' ? kNewerNumbers
                                                 : std::string_view();
    if (newer.empty()) {
      out_ += property;
    } else if (!in_class_) {
      out_.append(complement ? "[^\\p{" : "[\\p{").append({kind, '}'}).append(newer).append("]");
    } else if (!complement) {
      out_.append(property).append(newer);
    } else {
      Refuse(property);
    }
    at_ = end + 1;
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

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
  const std::string text = PatternTranslator(pattern, where).Run();
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
