// What the best possible prescriber of the synthetic hospital can reach at a visit.
#ifndef FLAME_DATA_SYNTH_ORACLE_H_
#define FLAME_DATA_SYNTH_ORACLE_H_

#include <vector>

#include "data/synth/model.h"

namespace flame {

// |a n b| / |a u b|; 0 where either is empty, as in the metrics.
double SynthJaccard(DrugBits a, DrugBits b);

struct SynthOracle {
  DrugBits best = 0;    // set of the highest mean Jaccard with the first half of the draws
  DrugBits likely = 0;  // drugs in more than half of the first half
  // Mean Jaccard of these two sets with the second half: unbiased for the sets at hand, so that
  // `list` is never too high a bound but for the noise of the second half.
  double list = 0, threshold = 0;
};

// `draws`: independent draws from the visit's own distribution; at least 2.
SynthOracle SolveSynthOracle(const std::vector<DrugBits>& draws);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_ORACLE_H_
