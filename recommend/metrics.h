// Metrics of predicted drug sets (docs/method.md, Metrics) and their confidence intervals.
#ifndef FLAME_RECOMMEND_METRICS_H_
#define FLAME_RECOMMEND_METRICS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace flame {

// Returns the number of drugs in both sets divided by the number in at least one; 0 if either set
// is empty. The sets have no repeats and any order.
double Jaccard(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth);

// Metrics of one visit. Precision is 0 for an empty prediction; F1 is 0 if precision + recall is 0.
struct SetMetrics {
  double jaccard = 0, precision = 0, recall = 0, f1 = 0, ddi = 0, drugs = 0;
};
SetMetrics ScoreSet(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth,
                    const DdiGraph& ddi);

// Returns the average precision of a ranking: the sum of (R_n - R_n-1) P_n over distinct
// thresholds, as sklearn.metrics.average_precision_score does. `truth` must not be empty.
double AveragePrecision(const std::vector<float>& scores, const std::vector<int32_t>& truth);

struct Interval {
  double mean = 0, low = 0, high = 0;
};

// Returns the mean over visits and its 95 % percentile interval. Each of `resamples` resamples
// draws patients with replacement, each with all its visits. values[i] is of a visit of
// patients[i].
Interval BootstrapMean(const std::vector<double>& values, const std::vector<int32_t>& patients,
                       int64_t resamples, uint64_t seed);

}  // namespace flame

#endif  // FLAME_RECOMMEND_METRICS_H_
