// Metrics of predicted drug sets (docs/method.md, Metrics) and their intervals.
#ifndef FLAME_RECOMMEND_METRICS_H_
#define FLAME_RECOMMEND_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace flame {

// |A n B| / |A u B|; 0 where either set is empty. Sets hold no repeats, in any order.
double Jaccard(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth);

// Of one visit. Precision is 0 for an empty prediction, F1 is 0 where precision + recall is.
struct SetMetrics {
  double jaccard = 0, precision = 0, recall = 0, f1 = 0, ddi = 0, drugs = 0;
};
SetMetrics ScoreSet(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth,
                    const DdiGraph& ddi);

// Average precision of a ranking, sum of (R_n - R_n-1) P_n over distinct thresholds, as
// sklearn.metrics.average_precision_score. `truth` is not empty.
double AveragePrecision(const std::vector<float>& scores, const std::vector<int32_t>& truth);

struct Interval {
  double mean = 0, low = 0, high = 0;
};

// Mean over visits and its 95 % percentile interval from `resamples` bootstraps over patients:
// patients are drawn with replacement, each with all its visits.
Interval BootstrapMean(const std::vector<double>& values, const std::vector<int32_t>& patients,
                       int64_t resamples, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_METRICS_H_
