#include "data/hospitals/known_diagnoses.h"

#include <algorithm>
#include <unordered_map>

namespace flame {
namespace {

void AddOnce(int32_t code, std::vector<int32_t>* codes) {
  if (std::find(codes->begin(), codes->end(), code) == codes->end()) codes->push_back(code);
}

// True if the visit at `index`, earlier in the order, had ended when the later one began. One whose
// end is not told had ended if it is not behind the previous visit.
bool HadEnded(const Visit& earlier, int32_t index, const Visit& later) {
  if (index >= later.previous) return index == later.previous;
  return earlier.discharged == kNoTime || earlier.discharged <= later.admitted;
}

}  // namespace

void UseEarlierDiagnoses(std::vector<Visit>* visits) {
  const std::vector<Visit> own = *visits;
  for (size_t i = 0; i < own.size(); ++i) {
    std::vector<int32_t> codes;
    size_t first = i;
    while (first > 0 && own[first - 1].patient == own[i].patient) --first;
    for (size_t j = first; j < i; ++j) {
      if (!HadEnded(own[j], static_cast<int32_t>(j), own[i])) continue;
      for (const int32_t code : own[j].diagnoses) AddOnce(code, &codes);
    }
    (*visits)[i].diagnoses = std::move(codes);
  }
}

int64_t UseDiagnosesOf(const CodeTable& table, int64_t min_rows, std::vector<Visit>* visits) {
  std::unordered_map<int64_t, Visit*> of;
  for (Visit& visit : *visits) {
    visit.diagnoses.clear();
    of[visit.hadm] = &visit;
  }
  std::vector<int64_t> counts(table.codes.size(), 0);
  for (const CodeRow& row : table.rows) counts[row.code] += of.contains(row.hadm) ? 1 : 0;
  int64_t used = 0;
  for (const CodeRow& row : table.rows) {
    const auto visit = of.find(row.hadm);
    if (visit == of.end() || counts[row.code] <= min_rows) continue;
    AddOnce(row.code, &visit->second->diagnoses);
    ++used;
  }
  return used;
}

}  // namespace flame
