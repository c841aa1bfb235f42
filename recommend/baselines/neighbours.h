// The baseline "knn": the drugs of the most similar training visits.
#ifndef FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_
#define FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_

#include <cstdint>
#include <vector>

#include "data/corpus.h"
#include "recommend/baselines/facts.h"

namespace flame {

// Returns, for each of `visits` and each drug, the share of the `count` nearest visits of `train`
// that have it, each weighted by its similarity, [visits, drugs]. The similarity is the cosine of
// the facts, age left out; among equally similar visits the earlier one is nearer. A visit without
// a similar one gets the shares over all of `train`.
std::vector<float> NeighbourShares(const Corpus& corpus, const Facts& facts, int64_t count,
                                   const std::vector<int32_t>& train,
                                   const std::vector<int32_t>& visits);

}  // namespace flame

#endif  // FLAME_RECOMMEND_BASELINES_NEIGHBOURS_H_
