// Facts known of a visit at admission, as numbers, for recommenders that read no text.
#ifndef FLAME_RECOMMEND_BASELINES_FACTS_H_
#define FLAME_RECOMMEND_BASELINES_FACTS_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"

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

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_FACTS_H_
