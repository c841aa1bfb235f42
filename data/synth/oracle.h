// The Jaccard that the best possible prescriber of the synthetic hospital can reach at a visit.
#ifndef FLAME_DATA_SYNTH_ORACLE_H_
#define FLAME_DATA_SYNTH_ORACLE_H_

#include <vector>

#include "data/synth/model.h"

namespace flame {

// Returns |a n b| / |a u b|; 0 if either is empty, as in the metrics.
double SynthJaccard(DrugBits a, DrugBits b);

struct SynthOracle {
  DrugBits best = 0;    // the set with the highest mean Jaccard with the first half of the draws
  DrugBits likely = 0;  // the drugs in more than half of those draws
  // Mean Jaccard of these two sets with the second half of the draws. It is unbiased for these
  // sets, so only the noise of the second half can make `list` too high.
  double list = 0, threshold = 0;
};

// `draws` holds at least 2 independent draws from the visit's own distribution.
SynthOracle SolveSynthOracle(const std::vector<DrugBits>& draws);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_ORACLE_H_
