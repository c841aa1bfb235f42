#include "data/tables/note_sections.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

namespace flame {
namespace {

constexpr std::array kSections = {kHistorySection, kPastHistorySection, kAllergiesSection,
                                  kMedicationsSection};

// Text from any of these phrases on was written at the end of a stay. "discharged" alone is none: a
// history tells of earlier discharges.
constexpr std::array kAtDischarge =
    std::to_array<std::string_view>({"discharge med",
                                     "discharge rx",
                                     "discharge drug",
                                     "discharge instruct",
                                     "discharge diagnos",
                                     "discharge condition",
                                     "discharge disposition",
                                     "discharge presc",
                                     "meds at d/c",
                                     "medications at d/c",
                                     "d/c med",
                                     "on d/c",
                                     "upon d/c",
                                     "dc med",
                                     "dc rx",
                                     "upon dc",
                                     "meds on dc",
                                     "medications on dc",
                                     "at discharge:",
                                     "discharged on:",
                                     "to be discharged",
                                     "d/c rx",
                                     "medications on discharge",
                                     "medication on discharge",
                                     "meds on discharge",
                                     "rx on discharge",
                                     "medications at discharge",
                                     "meds at discharge",
                                     "rx at discharge",
                                     "medications upon discharge",
                                     "meds upon discharge",
                                     "at time of discharge",
                                     "at the time of discharge",
                                     "discharged on the following",
                                     "discharged with the following",
                                     "hospital course",
                                     "course in hospital",
                                     "transfer med",
                                     "meds on transfer",
                                     "medications on transfer",
                                     "medication on transfer"});

// Each phrase has one of these words, so a text without them needs no search for phrases.
constexpr auto kWordsOfDischarge =
    std::to_array<std::string_view>({"discharge", "d/c", "dc", "course", "transfer"});
static_assert(std::all_of(kAtDischarge.begin(), kAtDischarge.end(), [](std::string_view phrase) {
  return std::any_of(kWordsOfDischarge.begin(), kWordsOfDischarge.end(),
                     [&](std::string_view word) { return phrase.find(word) != phrase.npos; });
}));

constexpr int kHeadingWords = 6;

char LowerOf(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = LowerOf(c);
  return lower;
}

bool BeginsInAnyCase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(),
                                                   [](char l, char c) { return l == LowerOf(c); });
}

// Drops what marks a line as a heading in some editors: **Allergies:**, __Allergies__:, == Plan ==.
std::string WithoutMarks(std::string line) {
  constexpr char kMarks[] = "*#_= ";
  const size_t first = std::min(line.find_first_not_of(kMarks), line.size());
  line.erase(0, first);
  if (first == 0) return line;
  const size_t colon = std::min(line.find(':'), line.size());
  const size_t behind = std::min(line.find_first_not_of("*_", colon + 1), line.size());
  if (colon < line.size()) line.erase(colon + 1, behind - colon - 1);
  size_t title = colon;
  while (title > 0 && std::string_view(kMarks).find(line[title - 1]) != std::string_view::npos) {
    --title;
  }
  return line.erase(title, colon - title);
}

// The lines of a text. Some exports end lines by a carriage return alone.
class Lines {
 public:
  explicit Lines(std::string_view text)
      : text_(text), newline_(std::min(text.find('\n'), text.size())) {}
  // Returns false behind the last line.
  bool Next(std::string_view* line) {
    if (begin_ >= text_.size()) return false;
    if (newline_ < begin_) newline_ = std::min(text_.find('\n', begin_), text_.size());
    *line = text_.substr(begin_, newline_ - begin_);
    *line = line->substr(0, line->find('\r'));
    begin_ += line->size() + 1;
    return true;
  }

 private:
  std::string_view text_;
  size_t begin_ = 0;
  size_t newline_;  // the first \n from begin_ on, which is looked for once
};

// Returns the title of a line that begins "Words of a title:", or "" if the line is no heading. A
// title in lower case counts only if nothing follows its colon.
std::string_view HeadingOf(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  const std::string_view title = line.substr(0, colon);
  const bool titled = std::all_of(title.begin(), title.end(), [](unsigned char c) {
    return std::isalpha(c) || std::string_view(" /&-'(),.").find(c) != std::string_view::npos;
  });
  const unsigned char first = title[0];
  const bool capitals = std::none_of(title.begin(), title.end(),
                                     [](unsigned char c) { return std::islower(c) != 0; });
  const bool is_long = std::count(title.begin(), title.end(), ' ') >= kHeadingWords;
  if (!titled || (is_long && !capitals)) return {};
  if (!std::isupper(first) && (!std::isalpha(first) || colon + 1 < line.size())) return {};
  return title;
}

// Other headings of a section, in lower case. "Medications" alone is none of them, nor those on
// transfer: they may be of a time after admission.
struct Spelling {
  std::string_view heading, section;
};
constexpr std::array<Spelling, 37> kSpellings = {{
    {"hpi", kHistorySection},
    {"history of the present illness", kHistorySection},
    {"history of presenting illness", kHistorySection},
    {"history of present illness/subjective", kHistorySection},
    {"present illness", kHistorySection},
    {"pmh", kPastHistorySection},
    {"pmhx", kPastHistorySection},
    {"past medical hx", kPastHistorySection},
    {"past history", kPastHistorySection},
    {"past medical/surgical history", kPastHistorySection},
    {"past medical and surgical history", kPastHistorySection},
    {"past medical & surgical history", kPastHistorySection},
    {"other past medical history", kPastHistorySection},
    {"allergy", kAllergiesSection},
    {"drug allergies", kAllergiesSection},
    {"medication allergies", kAllergiesSection},
    {"known allergies", kAllergiesSection},
    {"allergies to medications", kAllergiesSection},
    {"allergies to drugs", kAllergiesSection},
    {"allergies and adverse reactions", kAllergiesSection},
    {"allergies/adverse reactions", kAllergiesSection},
    {"medication on admission", kMedicationsSection},
    {"meds on admission", kMedicationsSection},
    {"medications upon admission", kMedicationsSection},
    {"medications at admission", kMedicationsSection},
    {"admission medications", kMedicationsSection},
    {"admission meds", kMedicationsSection},
    {"medications prior to admission", kMedicationsSection},
    {"meds prior to admission", kMedicationsSection},
    {"medications before admission", kMedicationsSection},
    {"preadmission medications", kMedicationsSection},
    {"pre-admission medications", kMedicationsSection},
    {"medications at home", kMedicationsSection},
    {"meds at home", kMedicationsSection},
    {"home medications", kMedicationsSection},
    {"home meds", kMedicationsSection},
    {"outpatient medications", kMedicationsSection},
}};

// Returns the section that a heading opens; "" if it opens none.
std::string_view FindSection(std::string_view heading) {
  if (heading.ends_with(')')) heading = heading.substr(0, heading.rfind('('));  // (per OMR)
  const std::string lower = Lower(CollapseSpace(heading));
  for (const std::string_view section : kSections) {
    if (Lower(section) == lower) return section;
  }
  const auto spelling = std::find_if(kSpellings.begin(), kSpellings.end(),
                                     [&](const Spelling& known) { return known.heading == lower; });
  return spelling == kSpellings.end() ? std::string_view() : spelling->section;
}

// Returns the part of a section before anything written at discharge.
std::string BeforeForbidden(const std::string& section) {
  const std::string content = CollapseSpace(section);
  return CollapseSpace(content.substr(0, FindTextOfDischarge(content)));
}

struct Section {
  std::string_view title;
  std::string content;
};

// Returns the line without a number or a dash in front, as in "1. Allergies: none" or "- Meds:".
std::string_view WithoutNumber(std::string_view line) {
  const size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  const std::string_view rest = line.substr(digits);
  const bool numbered =
      digits > 0 ? rest.starts_with(". ") || rest.starts_with(") ") : rest.starts_with("- ");
  return numbered ? rest.substr(2) : line;
}

// True of a line that begins something else than a section that is kept, though it is no heading in
// form: "Discharge Rx", "2. Disposition: home". A line that goes on with "discharged to rehab" or
// "transferred here", in lower case, tells of an earlier stay.
bool Closes(std::string_view line) {
  for (const std::string_view word : {"discharge", "transfer"}) {
    if (!BeginsInAnyCase(line, word)) continue;
    const bool verb = line.size() > word.size() && line[word.size()] >= 'a' &&
                      line[word.size()] <= 'z' && line[0] == word[0];
    return !verb;
  }
  if (BeginsInAnyCase(line, "final med")) return true;
  if (line.empty() || std::isupper(static_cast<unsigned char>(line[0])) == 0) return false;
  const std::string_view title = line.substr(0, line.find(':'));
  constexpr std::string_view kOthers[] = {"medications", "meds",      "disposition",
                                          "followup",    "follow-up", "follow up"};
  return std::any_of(std::begin(kOthers), std::end(kOthers), [&](std::string_view other) {
    return title.size() == other.size() && BeginsInAnyCase(title, other);
  });
}

std::vector<Section> AllowedSections(std::string_view text) {
  std::vector<Section> sections;
  bool open = false;
  Lines lines(text);
  for (std::string_view raw; lines.Next(&raw);) {
    // Most lines of a summary are in sections that are not kept.
    if (!open && raw.find(':') == std::string_view::npos) continue;
    const std::string line = WithoutMarks(CollapseSpace(raw));
    // A numbered line is a heading if it is a known one: lists of drugs are numbered too.
    const std::string_view plain = WithoutNumber(line);
    std::string_view heading = HeadingOf(plain);
    if (plain.size() < line.size() && FindSection(heading).empty()) heading = {};
    if (!heading.empty()) {
      const std::string_view section = FindSection(heading);
      open = !section.empty();
      if (open) sections.push_back({section, std::string(plain.substr(plain.find(':') + 1))});
    } else if (Closes(plain)) {
      open = false;
    } else if (open) {
      sections.back().content += ' ' + line;
    }
  }
  return sections;
}

}  // namespace

std::string CollapseSpace(std::string_view text) {
  constexpr std::string_view kNoBreakSpace = "\u00a0";
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == kNoBreakSpace[0] && text.substr(i).starts_with(kNoBreakSpace)) {
      c = ' ';
      ++i;
    }
    const bool space = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

size_t FindTextOfDischarge(std::string_view text) {
  const std::string lower = Lower(text);
  size_t first = std::string::npos;
  if (std::none_of(kWordsOfDischarge.begin(), kWordsOfDischarge.end(),
                   [&](std::string_view word) { return lower.find(word) != std::string::npos; })) {
    return first;
  }
  for (const std::string_view phrase : kAtDischarge) first = std::min(first, lower.find(phrase));
  return first;
}

std::string AdmissionNote(std::string_view text) {
  std::string note;
  for (const Section& section : AllowedSections(text)) {
    const std::string content = BeforeForbidden(section.content);
    if (content.empty()) continue;
    if (!note.empty()) note += '\n';
    note.append(section.title).append(": ").append(content);
  }
  return note;
}

std::string NoteSection(std::string_view note, std::string_view title) {
  std::string content;
  while (!note.empty()) {
    const size_t end = std::min(note.find('\n'), note.size());
    const std::string_view line = note.substr(0, end);
    if (line.starts_with(title) && line.substr(title.size()).starts_with(": ")) {
      if (!content.empty()) content += ' ';
      content += line.substr(title.size() + 2);
    }
    note.remove_prefix(std::min(end + 1, note.size()));
  }
  return content;
}

}  // namespace flame
