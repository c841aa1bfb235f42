#include "recommend/baselines/facts.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>

#include "data/prompts/drug_mentions.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

constexpr int32_t kMan = 1, kWoman = 2, kFirstCode = 3;

void Append(int32_t first, std::vector<int32_t> codes, std::vector<Fact>* facts) {
  std::sort(codes.begin(), codes.end());
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  for (const int32_t code : codes) facts->push_back({first + code, 1});
}

}  // namespace

Facts FactsOf(const Corpus& corpus) {
  const DrugMentions names(corpus.drugs.titles);
  const int32_t procedures = kFirstCode + corpus.diagnoses.size();
  const int32_t previous = procedures + corpus.procedures.size();
  const int32_t home = previous + corpus.drugs.size(), allergies = home + corpus.drugs.size();
  Facts facts;
  facts.size = allergies + corpus.drugs.size();
  for (const Visit& visit : corpus.visits) {
    std::vector<Fact> own;
    if (visit.age != 50) own.push_back({kAgeFact, (visit.age - 50) / 10.0});
    if (visit.gender != 'U') own.push_back({visit.gender == 'M' ? kMan : kWoman, 1});
    Append(kFirstCode, visit.diagnoses, &own);
    Append(procedures, visit.procedures, &own);
    if (visit.previous >= 0) Append(previous, corpus.visits[visit.previous].drugs, &own);
    Append(home, names.In(NoteSection(visit.note, kMedicationsSection)), &own);
    Append(allergies, names.In(NoteSection(visit.note, kAllergiesSection)), &own);
    facts.visits.push_back(std::move(own));
  }
  return facts;
}

std::vector<int32_t> NamedDrugs(const Corpus& corpus, const DrugMentions& names, int32_t visit) {
  const Visit& own = corpus.visits[visit];
  std::set<int32_t> named;
  if (own.previous >= 0) {
    const std::vector<int32_t>& before = corpus.visits[own.previous].drugs;
    named.insert(before.begin(), before.end());
  }
  for (const std::string_view section : {kMedicationsSection, kAllergiesSection}) {
    for (const int32_t drug : names.In(NoteSection(own.note, section))) named.insert(drug);
  }
  return {named.begin(), named.end()};
}

}  // namespace flame
