// The baseline "knn": the drugs of the most similar training visits.
#ifndef FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_
#define FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "recommend/baselines/facts.h"

namespace flame {

// Returns, for each of `counts`, for each of `visits` and each drug, the share of the so many
// nearest visits of `train` that have it, each weighted by its similarity: [counts][visits, drugs].
// `counts` rise. The similarity is the cosine of the facts, age left out; among equally similar
// visits the earlier one is nearer. A visit without a similar one gets the shares over all of
// `train`.
std::vector<std::vector<float>> NeighbourShares(const Corpus& corpus, const Facts& facts,
                                                const std::vector<int64_t>& counts,
                                                const std::vector<int32_t>& train,
                                                const std::vector<int32_t>& visits);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_
