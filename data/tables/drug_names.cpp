#include "data/tables/drug_names.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <unordered_set>

#include "base/error.h"
#include "data/tables/drug_name_words.h"

namespace flame {
namespace {

// A longer name is a chemical formula, which no hospital writes.
constexpr size_t kMaxWordsOfName = 8;
constexpr size_t kMinLettersOfName = 5;

// Sodium chloride, D-glucose, dextrose of unspecified form.
constexpr std::string_view kCarriers[] = {"DB09153", "DB01914", "DB09341"};

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
// Bytes of UTF-8 beyond ASCII are letters.
bool IsLetter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) >= 0x80;
}

// A word of a name: a number, or letters and the digits behind them, in lower case.
struct Word {
  std::string text;
  bool number = false;
  bool joined = false;  // behind a sign or word that joins ingredients
  bool tight = false;   // behind such a sign other than a comma
  bool inside = false;  // in parentheses
};

// Splits a name into words.
class WordSplitter {
 public:
  explicit WordSplitter(std::string_view text) : text_(text) {}

  std::vector<Word> Split() {
    while (at_ < text_.size()) {
      if (IsDigit(text_[at_]) || IsDecimalPoint(at_)) {
        AddNumber();
      } else if (IsLetter(text_[at_])) {
        AddLetters();
      } else {
        SkipSign();
      }
    }
    return std::move(words_);
  }
  // True if a sign or word that joins ingredients ends the name, once it is split.
  bool EndsJoined() const { return joined_; }

 private:
  bool IsDecimalPoint(size_t at) const {
    return text_[at] == '.' && at + 1 < text_.size() && IsDigit(text_[at + 1]);
  }
  // True for the comma of 5,000.
  bool IsThousandsComma(size_t at) const {
    return text_[at] == ',' && at + 3 < text_.size() && IsDigit(text_[at + 1]) &&
           IsDigit(text_[at + 2]) && IsDigit(text_[at + 3]);
  }
  void AddNumber() {
    std::string number;
    for (; at_ < text_.size(); ++at_) {
      if (IsDigit(text_[at_]) || IsDecimalPoint(at_)) {
        number += text_[at_];
      } else if (!IsThousandsComma(at_)) {
        break;
      }
    }
    Add(std::move(number), /*number=*/true);
  }
  void AddLetters() {
    std::string letters;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\'') continue;
      if (!IsLetter(c) && !IsDigit(c)) break;
      if (IsDigit(c) && WordKindOf(letters) == WordKind::kForm) break;  // 3 mmol/mL15 mL
      letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    if (text_.substr(at_).starts_with("(s)") || text_.substr(at_).starts_with("(S)")) {
      letters += 's';
      at_ += 3;
    }
    if (WordKindOf(letters) == WordKind::kJoin) {
      joined_ = true;
    } else {
      Add(std::move(letters), /*number=*/false);
    }
  }
  void Add(std::string text, bool number) {
    words_.push_back({std::move(text), number, joined_, tight_, depth_ > 0});
    joined_ = tight_ = false;
  }
  void SkipSign() {
    const char c = text_[at_++];
    tight_ |= c == '-' || c == '/' || c == '+' || c == '&';
    joined_ |= tight_ || c == ',';
    if (c == '(' || c == '[') ++depth_;
    if ((c == ')' || c == ']') && depth_ > 0) --depth_;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Word> words_;
  bool joined_ = false, tight_ = false;
  int depth_ = 0;
};

// Returns the words of `text` parted by single spaces.
std::string KeyOf(const std::vector<Word>& words) {
  std::string key;
  for (const Word& word : words) key += (key.empty() ? "" : " ") + word.text;
  return key;
}

bool HasLetters(const std::vector<Word>& words, size_t count) {
  return std::any_of(words.begin(), words.end(), [&](const Word& word) {
    return static_cast<size_t>(std::count_if(word.text.begin(), word.text.end(), IsLetter)) >=
           count;
  });
}

bool IsMetal(std::string_view word) {
  const WordKind kind = WordKindOf(word);
  return kind == WordKind::kCation || kind == WordKind::kElement;
}

bool IsCarrier(const std::string& id) {
  return std::find(std::begin(kCarriers), std::end(kCarriers), id) != std::end(kCarriers);
}

bool AreCarriers(const std::vector<std::string>& ids) {
  return std::all_of(ids.begin(), ids.end(), IsCarrier);
}

}  // namespace

// Reads one name from its first word to its last.
class DrugNameReader {
 public:
  DrugNameReader(const DrugNameMatcher& matcher, std::string_view name)
      : matcher_(matcher), splitter_(name), words_(splitter_.Split()) {}

  DrugMatch Read() {
    if (Any(WordKind::kConsult)) return {DrugNameRule::kNoDrug, {}};
    while (at_ < words_.size()) {
      if (!ReadSalt() && !ReadPhrase()) return {};
    }
    // The column has cut the next ingredient off.
    if (behind_drug_ && splitter_.EndsJoined()) return {};
    return Result();
  }

 private:
  using Entry = DrugNameMatcher::Entry;

  bool Any(WordKind kind) const {
    return std::any_of(words_.begin(), words_.end(),
                       [&](const Word& word) { return WordKindOf(word.text) == kind; });
  }
  std::string Phrase(size_t count) const {
    return KeyOf({words_.begin() + at_, words_.begin() + at_ + count});
  }
  size_t Left() const { return words_.size() - at_; }

  // Reads the longest phrase that is a salt behind a drug or another salt.
  bool ReadSalt() {
    if (!behind_drug_) return false;
    for (size_t count = std::min(Left(), matcher_.max_words_); count > 0; --count) {
      const std::string phrase = Phrase(count);
      const WordKind kind = WordKindOf(phrase);
      // Behind a sign it may be an ingredient that is cut off: HYDROCODONE-ACET.
      if (words_[at_].tight && kind == WordKind::kSalt) return false;
      const bool cation = kind == WordKind::kCation && takes_cation_ && !words_[at_].joined;
      if ((kind != WordKind::kSalt || !takes_salt_) && !cation) {
        // The salt of a longer drug: OMEPRAZOLE SODIUM BICARBONATE.
        if (matcher_.entries_.contains(phrase)) return false;
        continue;
      }
      at_ += count;
      salt_ = true;
      return true;
    }
    return false;
  }

  // Reads the longest phrase that is a drug or known words.
  bool ReadPhrase() {
    for (size_t count = std::min(Left(), matcher_.max_words_); count > 0; --count) {
      const std::string phrase = Phrase(count);
      const WordKind kind = WordKindOf(phrase);
      const auto found = matcher_.entries_.find(phrase);
      if (found != matcher_.entries_.end()) return ReadDrug(found->second, count);
      if (kind != WordKind::kNone) return ReadWords(kind, count);
    }
    if (!words_[at_].number) return false;
    behind_number_ = form_ = true;
    behind_drug_ = false;
    ++at_;
    return true;
  }

  bool ReadWords(WordKind kind, size_t count) {
    switch (kind) {
      case WordKind::kUnit:
        if (!behind_number_) return false;
        break;
      case WordKind::kForm:
        // It may be the beginning of an ingredient that the column has cut off: LIDOCAINE-PR.
        if (behind_drug_ && words_[at_].tight && Left() == count) return false;
        break;
      case WordKind::kRelease:
        break;
      case WordKind::kFlush:
        flush_ = true;
        break;
      case WordKind::kFluid:
        fluid_ = true;
        break;
      default:
        return false;
    }
    behind_number_ = kind == WordKind::kForm || kind == WordKind::kUnit;
    behind_drug_ = false;
    form_ = true;
    at_ += count;
    return true;
  }

  bool ReadDrug(const Entry& entry, size_t count) {
    if (entry.ids.empty()) return false;
    const bool carrier = AreCarriers(entry.ids);
    const bool first = std::all_of(drugs_.begin(), drugs_.end(), IsCarrier);
    const bool metal = count == 1 && IsMetal(words_[at_].text);
    if (!carrier && !first && !IsKnown(entry)) {
      if (!words_[at_].joined || words_[at_].inside || metal || metal_) return false;
    }
    metal_ |= metal;
    if (!carrier && first) synonym_ = entry.synonym;
    for (const std::string& id : entry.ids) {
      if (std::find(drugs_.begin(), drugs_.end(), id) == drugs_.end()) drugs_.push_back(id);
    }
    if (carrier && drugs_.size() == entry.ids.size()) synonym_ = entry.synonym;
    const std::string& last = words_[at_ + count - 1].text;
    takes_salt_ = WordKindOf(last) != WordKind::kSalt && !IsMetal(last);
    takes_cation_ = takes_salt_ && matcher_.entries_.contains(last);
    behind_drug_ = true;
    behind_number_ = false;
    at_ += count;
    return true;
  }

  // True if the name has all ids of `entry` before.
  bool IsKnown(const Entry& entry) const {
    return std::all_of(entry.ids.begin(), entry.ids.end(), [&](const std::string& id) {
      return std::find(drugs_.begin(), drugs_.end(), id) != drugs_.end();
    });
  }

  DrugMatch Result() {
    if (drugs_.empty()) {
      return {fluid_ || flush_ ? DrugNameRule::kNoDrug : DrugNameRule::kUnmatched, {}};
    }
    bool mixture = fluid_;
    if (!AreCarriers(drugs_)) mixture |= std::erase_if(drugs_, IsCarrier) > 0;
    const DrugNameRule rule = mixture             ? DrugNameRule::kMixture
                              : drugs_.size() > 1 ? DrugNameRule::kCombination
                              : synonym_          ? DrugNameRule::kSynonym
                              : salt_             ? DrugNameRule::kSalt
                              : form_             ? DrugNameRule::kForm
                                                  : DrugNameRule::kExactName;
    return {rule, std::move(drugs_)};
  }

  const DrugNameMatcher& matcher_;
  WordSplitter splitter_;
  std::vector<Word> words_;
  size_t at_ = 0;
  std::vector<std::string> drugs_;
  // What has been removed.
  bool salt_ = false, form_ = false, fluid_ = false, flush_ = false;
  bool synonym_ = false;  // the first drug is one
  bool metal_ = false;  // the first drug is one, whose anion may follow: POTASSIUM/SODIUM PHOSPHATE
  // What stands before the word at `at_`.
  bool behind_drug_ = false, behind_number_ = false;
  bool takes_salt_ = false, takes_cation_ = false;  // of the last drug
};

std::string_view DrugNameRuleWords(DrugNameRule rule) {
  switch (rule) {
    case DrugNameRule::kBlank:
      return "blank";
    case DrugNameRule::kUnmatched:
      return "not matched";
    case DrugNameRule::kNoDrug:
      return "no drug";
    case DrugNameRule::kExactName:
      return "exact name";
    case DrugNameRule::kForm:
      return "strength, form or route removed";
    case DrugNameRule::kSalt:
      return "salt removed";
    case DrugNameRule::kSynonym:
      return "brand or synonym";
    case DrugNameRule::kCombination:
      return "combination";
    case DrugNameRule::kMixture:
      return "mixture, carrier removed";
  }
  return "unknown";
}

DrugNameMatcher::DrugNameMatcher(const std::vector<DrugNameId>& names,
                                 const std::vector<DrugNameId>& synonyms) {
  std::unordered_set<std::string> ids;
  for (const auto& [name, id] : names) {
    ids.insert(id);
    const std::vector<Word> words = WordSplitter(name).Split();
    if (words.size() > kMaxWordsOfName || !HasLetters(words, kMinLettersOfName)) continue;
    const std::string key = KeyOf(words);
    if (WordKindOf(key) != WordKind::kNone && !IsMetal(key)) continue;
    entries_.try_emplace(key, Entry{{id}, /*synonym=*/false});
    max_words_ = std::max(max_words_, words.size());
  }
  for (const auto& [synonym, id] : synonyms) {
    const std::vector<Word> words = WordSplitter(synonym).Split();
    if (!HasLetters(words, 1)) {
      throw DataError("expected a synonym with letters, found '", synonym, "'");
    }
    if (!id.empty() && !ids.contains(id)) {
      throw DataError("'", synonym, "' stands for '", id,
                      "'; expected an id that a DrugBank name has");
    }
    Entry& entry = entries_[KeyOf(words)];
    if (!entry.synonym) entry = {{}, /*synonym=*/true};
    if (!id.empty() && std::find(entry.ids.begin(), entry.ids.end(), id) == entry.ids.end()) {
      entry.ids.push_back(id);
    }
    max_words_ = std::max(max_words_, words.size());
  }
  max_words_ = std::max(max_words_, kMaxWordsOfPhrase);
}

DrugMatch DrugNameMatcher::Match(std::string_view drugname) const {
  const bool blank = std::all_of(drugname.begin(), drugname.end(),
                                 [](unsigned char c) { return std::isspace(c) != 0; });
  if (blank) return {DrugNameRule::kBlank, {}};
  return DrugNameReader(*this, drugname).Read();
}

}  // namespace flame
