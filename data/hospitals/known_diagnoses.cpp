#include "data/hospitals/known_diagnoses.h"

#include <algorithm>
#include <unordered_map>

namespace flame {
namespace {

void AddOnce(int32_t code, std::vector<int32_t>* codes) {
  if (std::find(codes->begin(), codes->end(), code) == codes->end()) codes->push_back(code);
}

}  // namespace

void UseEarlierDiagnoses(std::vector<Visit>* visits) {
  // A previous visit comes before, so from the last visit on each still has its own.
  for (auto visit = visits->rbegin(); visit != visits->rend(); ++visit) {
    std::vector<const Visit*> earlier;
    for (int32_t i = visit->previous; i >= 0; i = (*visits)[i].previous) {
      earlier.push_back(&(*visits)[i]);
    }
    std::vector<int32_t> codes;
    for (auto one = earlier.rbegin(); one != earlier.rend(); ++one) {
      for (const int32_t code : (*one)->diagnoses) AddOnce(code, &codes);
    }
    visit->diagnoses = std::move(codes);
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
