#include "tokenizer/pattern_translator.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/error.h"
#include "tokenizer/text.h"
#include "tokenizer/unicode_additions.h"

namespace flame {
namespace {

// True for a general category. Those mean the same in Oniguruma and PCRE2; scripts and other
// properties do not.
bool IsGeneralCategory(std::string_view name) {
  constexpr std::string_view kMajor = "LMNPSZC";
  return (name.size() == 1 || (name.size() == 2 && islower(name[1]))) &&
         kMajor.find(name[0]) != std::string_view::npos;
}

// True for two letters to which one letter folds, whole or in part (CaseFolding.txt, status F).
bool IsFoldOfOneLetter(char first, char second) {
  constexpr std::string_view kFolds[] = {"ss", "st", "ff", "fi", "fl"};
  return std::any_of(std::begin(kFolds), std::end(kFolds), [&](std::string_view fold) {
    return fold[0] == std::tolower(first) && fold[1] == std::tolower(second);
  });
}

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

  bool NoCase() const { return no_case_.back(); }

  void InClass() {
    const std::string_view rest = pattern_.substr(at_);
    if (rest[0] == '[') Refuse(rest.substr(0, std::min(rest.find(']'), rest.size() - 1) + 1));
    if (rest.starts_with("&&")) Refuse("&&");
    if (NoCase()) RefuseBeyondAscii(rest[0]);
    in_class_ = rest[0] != ']';
    Copy(1);
  }

  void Plain() {
    const char c = pattern_[at_];
    if (c == '[') {
      in_class_ = true;
      before_ = '\0';
      Copy(pattern_.substr(at_ + 1).starts_with('^') ? 2 : 1);
      if (pattern_.substr(at_).starts_with(']')) Refuse("[]");
    } else if (c == '^' || c == '$') {
      out_.append("(?m:").append({c, ')'});
      ++at_;
    } else if (c == '{') {
      Interval();
    } else if (pattern_.substr(at_).starts_with("(*")) {
      Refuse("(*");  // a verb of PCRE2
    } else if (c == '(') {
      Group();
    } else {
      if (c == ')' && no_case_.size() > 1) no_case_.pop_back();
      if (NoCase()) CheckFolds(c);
      Copy(1);
    }
  }

  void RefuseBeyondAscii(char c) const {
    if (static_cast<unsigned char>(c) < 0x80) return;
    Refuse(StrCat("(?i:", FirstCharacter(pattern_.substr(at_)), ")"));
  }

  // Refuses the second of two letters that Oniguruma also finds in one letter. Groups between them
  // make no difference to it.
  void CheckFolds(char c) {
    RefuseBeyondAscii(c);
    if (c == ')') return;
    if (IsFoldOfOneLetter(before_, c)) Refuse(StrCat("(?i:", before_, c, ")"));
    before_ = c;
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
    // Behind the beginning, Oniguruma's holds for the alternatives that follow as one group.
    if (at_ == 0 && rest.starts_with("(?i)")) {
      no_case_.back() = true;
      return Copy(4);
    }
    std::string_view opening = "(";
    for (const char* known : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:", "(?-i:"}) {
      if (rest.starts_with(known)) opening = known;
    }
    if (opening == "(" && rest.starts_with("(?")) {
      Refuse(rest.substr(0, std::min(rest.find_first_of(":)"), rest.size() - 1) + 1));
    }
    no_case_.push_back(opening == "(?i:" || (NoCase() && opening != "(?-i:"));
    Copy(opening.size());
  }

  void Escape() {
    const std::string_view escape = pattern_.substr(at_, 2);
    const char c = escape.size() == 2 ? escape[1] : '\0';
    before_ = '\0';
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
    const std::string_view name =
        property.substr(2).starts_with('{') ? property.substr(3, property.size() - 4) : "";
    // Unicode 16 assigns characters that PCRE2 counts as unassigned.
    if (!IsGeneralCategory(name) || name == "C" || name == "Cn") Refuse(property);
    if (in_class_ && NoCase()) Refuse(StrCat("(?i:[", property, "])"));
    out_ += WithAdditions(property, name, property[1] == 'P');
    at_ = end + 1;
  }

  std::string WithAdditions(std::string_view property, std::string_view name, bool complement) {
    const std::string additions = AdditionsTo(name);
    const bool has_removed = name == "Mn";
    if (additions.empty()) return std::string(property);
    if (!in_class_) {
      std::string characters = StrCat(complement ? "[^\\p{" : "[\\p{", name, "}", additions, "]");
      if (!has_removed) return characters;
      return StrCat(complement ? "(?:\\x{1171e}|" : "(?:(?!\\x{1171e})", characters, ")");
    }
    if (complement || has_removed) Refuse(property);
    return StrCat(property, additions);
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::vector<bool> no_case_ = {false};  // of the open groups, the innermost last
  char before_ = '\0';                   // the character before, in a part without case
};

}  // namespace

std::string ToPcre2(std::string_view pattern, const std::string& where) {
  return PatternTranslator(pattern, where).Run();
}

}  // namespace flame
