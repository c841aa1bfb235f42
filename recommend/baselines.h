// Recommenders without a model, which every policy stands beside.
#ifndef FLAME_RECOMMEND_BASELINES_H_
#define FLAME_RECOMMEND_BASELINES_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"

namespace flame {

// Visits of the training split that each drug was given at, [num_drugs].
std::vector<float> DrugFrequencies(const Corpus& corpus);

// "popularity": the k most frequent training drugs, the lower index first of equals; k has the
// highest mean Jaccard on training visits.
std::vector<int32_t> PopularDrugs(const Corpus& corpus, const std::vector<float>& frequency);

// "previous": the drugs of the patient's visit before; none at a first visit.
std::vector<int32_t> PreviousDrugs(const Corpus& corpus, int32_t visit);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_H_
