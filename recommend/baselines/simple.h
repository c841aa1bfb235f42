// Recommenders without a model, the baselines for every policy.
#ifndef FLAME_RECOMMEND_BASELINES_SIMPLE_H_
#define FLAME_RECOMMEND_BASELINES_SIMPLE_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"

namespace flame {

// Returns the number of training visits with each drug, [num_drugs].
std::vector<float> DrugFrequencies(const Corpus& corpus);

// The baseline "popularity": returns the k most frequent training drugs. Among equally frequent
// drugs the lower index comes first. k is chosen for the highest mean Jaccard on training visits.
std::vector<int32_t> PopularDrugs(const Corpus& corpus, const std::vector<float>& frequency);

// The baseline "previous": returns the drugs of the patient's previous visit; none for a first
// visit.
std::vector<int32_t> PreviousDrugs(const Corpus& corpus, int32_t visit);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_SIMPLE_H_
