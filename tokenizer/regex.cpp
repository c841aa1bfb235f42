#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>

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

// Translates a pattern so that PCRE2 matches what Oniguruma matches (doc/RE of Oniguruma 6.9, its
// own syntax), and refuses what the two read differently:
//   \s        is the property White_Space; PCRE2's has U+180E too
//   ^ $       begin and end every line, not only the text
//   {,n}      is {0,n}
//   {n,m}+    repeats a greedy quantifier, where PCRE2's is possessive: refused
//   {n}?      makes the n optional, where PCRE2's is lazy: refused
//   [a&&b]    intersects, [a[b]] unites, [[:alpha:]] has Unicode's letters: refused
//   (?m:.)    lets the dot match line breaks; other letters differ likewise: only i is accepted,
//   for
//             a group or for the whole pattern
class PatternTranslator {
 public:
  PatternTranslator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string Run() {
    while (at_ < pattern_.size()) {
      if (pattern_[at_] == '\\') {
        Escape();
      } else if (in_class_) {
        InClass();
      } else {
        Plain();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view part) const {
    throw DataError(where_, ": '", part, "' in pattern '", pattern_, "' is not supported");
  }

  void Copy(size_t size) {
    out_ += pattern_.substr(at_, size);
    at_ += size;
  }

  void InClass() {
    const std::string_view rest = pattern_.substr(at_);
    if (rest[0] == '[') Refuse(rest.substr(0, std::min(rest.find(']'), rest.size() - 1) + 1));
    if (rest.starts_with("&&")) Refuse("&&");
    in_class_ = rest[0] != ']';
    Copy(1);
  }

  void Plain() {
    const char c = pattern_[at_];
    if (c == '[') {
      in_class_ = true;
      Copy(pattern_.substr(at_ + 1).starts_with('^') ? 2 : 1);
      if (pattern_.substr(at_).starts_with(']')) Refuse("[]");
    } else if (c == '^' || c == '$') {
      out_.append("(?m:").append({c, ')'});
      ++at_;
    } else if (c == '{') {
      Interval();
    } else if (pattern_.substr(at_).starts_with("(*")) {
      Refuse("(*");  // a verb of PCRE2
    } else if (pattern_.substr(at_).starts_with("(?")) {
      Group();
    } else {
      Copy(1);
    }
  }

  // A brace opens an interval only if digits and at most one comma are in it.
  void Interval() {
    const size_t end = pattern_.find('}', at_);
    const std::string_view inside =
        end == std::string_view::npos ? "" : pattern_.substr(at_ + 1, end - at_ - 1);
    const bool interval = inside.find_first_not_of("0123456789,") == std::string_view::npos &&
                          std::count(inside.begin(), inside.end(), ',') <= 1 && inside.size() > 0 &&
                          inside != ",";
    if (!interval) return Copy(1);
    const std::string_view behind = pattern_.substr(end + 1);
    if (behind.starts_with('+')) Refuse("{n,m}+");
    if (behind.starts_with('?') && inside.find(',') == std::string_view::npos) Refuse("{n}?");
    out_.append(inside.starts_with(',') ? "{0" : "{").append(inside).append("}");
    at_ = end + 1;
  }

  void Group() {
    const std::string_view rest = pattern_.substr(at_);
    for (const char* known : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"}) {
      if (rest.starts_with(known)) return Copy(std::string_view(known).size());
    }
    // Behind the beginning, Oniguruma's holds for the alternatives that follow as one group.
    if (at_ == 0 && rest.starts_with("(?i)")) return Copy(4);
    Refuse(rest.substr(0, std::min(rest.find_first_of(":)"), rest.size() - 1) + 1));
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
