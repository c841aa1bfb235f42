#include "data/audit.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "data/prompts/drug_mentions.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

constexpr char kProcedures[] = "procedures";

// The parts of one visit's prompt, with the text or the drugs of each.
class Parts {
 public:
  Parts(const Corpus& corpus, const DrugMentions& names) : corpus_(corpus), names_(names) {}

  std::vector<std::pair<std::string, std::vector<int32_t>>> Of(const Visit& visit) const {
    std::vector<std::pair<std::string, std::vector<int32_t>>> parts;
    for (const std::string_view title :
         {kHistorySection, kPastHistorySection, kAllergiesSection, kMedicationsSection}) {
      const std::string text = NoteSection(visit.note, title);
      if (!text.empty()) parts.emplace_back(title, names_.In(text));
    }
    parts.emplace_back("diagnoses", InTitles(corpus_.diagnoses, visit.diagnoses));
    parts.emplace_back(kProcedures, InTitles(corpus_.procedures, visit.procedures));
    if (visit.previous >= 0) {
      parts.emplace_back("previous visit", corpus_.visits[visit.previous].drugs);
    }
    return parts;
  }

 private:
  std::vector<int32_t> InTitles(const Vocabulary& codes, const std::vector<int32_t>& own) const {
    std::string text;
    for (const int32_t code : own) text += codes.titles[code] + "\n";
    return names_.In(text);
  }
  const Corpus& corpus_;
  const DrugMentions& names_;
};

void CountMentions(const Corpus& corpus, LeakAudit* audit) {
  const DrugMentions names(corpus.drugs.titles);
  const Parts parts(corpus, names);
  std::map<std::string, MentionCount> counts;
  std::vector<std::string> order;
  for (size_t i = 0; i < corpus.visits.size(); ++i) {
    const Visit& visit = corpus.visits[i];
    audit->true_drugs += static_cast<int64_t>(visit.drugs.size());
    for (const auto& [part, drugs] : parts.Of(visit)) {
      const auto [entry, added] = counts.try_emplace(part);
      if (added) order.push_back(part);
      MentionCount& count = entry->second;
      const int64_t before = count.named_true;
      ++count.visits;
      count.named += static_cast<int64_t>(drugs.size());
      for (const int32_t drug : drugs) {
        if (std::find(visit.drugs.begin(), visit.drugs.end(), drug) == visit.drugs.end()) continue;
        ++count.named_true;
        const auto index = static_cast<int32_t>(i);
        audit->mentions.push_back({index, part, drug});
        if (part == kProcedures) {
          audit->leaks.push_back(
              {index, "procedure that names a drug of the visit", corpus.drugs.titles[drug]});
        }
      }
      if (count.named_true > before) ++count.visits_with_true;
    }
  }
  for (const std::string& part : order) {
    counts[part].part = part;
    audit->parts.push_back(counts[part]);
  }
}

// Returns the phrase with some of the text around it.
std::string Around(const std::string& text, size_t at) {
  constexpr size_t kBefore = 20, kLength = 70;
  const size_t first = at < kBefore ? 0 : at - kBefore;
  return StrCat(first > 0 ? "..." : "", text.substr(first, kLength),
                first + kLength < text.size() ? "..." : "");
}

void FindInNote(const Visit& visit, int32_t index, std::vector<Leak>* leaks) {
  const size_t at = FindTextOfDischarge(visit.note);
  if (at == std::string::npos) return;
  leaks->push_back({index, "text written at discharge", Around(visit.note, at)});
}

void FindInPrevious(const Corpus& corpus, int32_t index, std::vector<Leak>* leaks) {
  const Visit& visit = corpus.visits[index];
  if (visit.previous < 0 || visit.admitted == kNoTime) return;
  const Visit& previous = corpus.visits[visit.previous];
  if (previous.admitted != kNoTime && previous.admitted > visit.admitted) {
    leaks->push_back({index, "previous visit that begins later", StrCat(previous.hadm)});
  } else if (previous.discharged != kNoTime && previous.discharged > visit.admitted) {
    leaks->push_back({index, "previous visit that goes on", StrCat(previous.hadm)});
  }
}

}  // namespace

LeakAudit AuditLeaks(const Corpus& corpus) {
  LeakAudit audit;
  CountMentions(corpus, &audit);
  std::set<std::pair<int64_t, int64_t>> seen;
  for (int32_t i = 0; i < static_cast<int32_t>(corpus.visits.size()); ++i) {
    const Visit& visit = corpus.visits[i];
    FindInNote(visit, i, &audit.leaks);
    FindInPrevious(corpus, i, &audit.leaks);
    if (!seen.insert({visit.subject, visit.hadm}).second) {
      audit.leaks.push_back({i, "visit given twice", StrCat(visit.hadm)});
    }
  }
  return audit;
}

}  // namespace flame
