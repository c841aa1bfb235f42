// Metrics of predicted drug sets (docs/method.md, Metrics).
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

// Returns the average precision of all visits' drugs ranked together; 0 if no visit has a drug.
// `scores` is [visits, drugs].
double PooledAveragePrecision(const std::vector<float>& scores,
                              const std::vector<std::vector<int32_t>>& truth);

// Metrics of sums over visits, so that a drug counts as much in a long list as in a short one; 0
// where a sum to divide by is 0.
struct PooledMetrics {
  double jaccard = 0, precision = 0, recall = 0, f1 = 0, ddi = 0;
};
PooledMetrics PoolSets(const std::vector<std::vector<int32_t>>& predicted,
                       const std::vector<std::vector<int32_t>>& truth, const DdiGraph& ddi);

}  // namespace flame

#endif  // FLAME_RECOMMEND_METRICS_H_
