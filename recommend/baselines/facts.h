// Facts known of a visit at admission, as numbers, for recommenders that read no text.
#ifndef FLAME_RECOMMEND_BASELINES_FACTS_H_
#define FLAME_RECOMMEND_BASELINES_FACTS_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "data/prompts/drug_mentions.h"

namespace flame {

struct Fact {
  int32_t index = 0;
  double value = 0;
};

// The facts of every visit, those that are 0 left out, ascending by index. In this order: age in
// decades above 50, one for a man, one for a woman, one for each diagnosis and procedure, and one
// for each drug of the previous visit, each that the note's medications on admission name and each
// that its allergies name.
inline constexpr int32_t kAgeFact = 0;  // the only fact that is not 0 or 1
struct Facts {
  int32_t size = 0;                       // number of indices
  std::vector<std::vector<Fact>> visits;  // [visit of the corpus]
};
Facts FactsOf(const Corpus& corpus);

// Returns the drugs that a visit's facts name, ascending, no repeats: those of the previous visit
// and of the note's medications on admission and allergies. `names` has the corpus's drugs.
std::vector<int32_t> NamedDrugs(const Corpus& corpus, const DrugMentions& names, int32_t visit);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_FACTS_H_
