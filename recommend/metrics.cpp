#include "recommend/metrics.h"

#include <algorithm>
#include <numeric>

namespace flame {
namespace {

int64_t NumShared(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return std::count_if(a.begin(), a.end(), [&](int32_t drug) {
    return std::find(b.begin(), b.end(), drug) != b.end();
  });
}

// Returns the average precision of a ranking in which answer i is true if truth[i] is 1, of
// `num_true` true ones in all.
double RankedPrecision(const std::vector<float>& scores, const std::vector<char>& truth,
                       double num_true) {
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  double area = 0;
  int64_t hits = 0, last_hits = 0;
  for (size_t n = 0; n < order.size(); ++n) {
    hits += truth[order[n]];
    // Equal scores form one threshold.
    if (n + 1 < order.size() && scores[order[n + 1]] == scores[order[n]]) continue;
    const double precision = static_cast<double>(hits) / static_cast<double>(n + 1);
    area += precision * static_cast<double>(hits - last_hits) / num_true;
    last_hits = hits;
  }
  return area;
}

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

double Jaccard(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth) {
  if (predicted.empty() || truth.empty()) return 0;
  const double shared = static_cast<double>(NumShared(predicted, truth));
  return shared / (static_cast<double>(predicted.size() + truth.size()) - shared);
}

SetMetrics ScoreSet(const std::vector<int32_t>& predicted, const std::vector<int32_t>& truth,
                    const DdiGraph& ddi) {
  const double shared = static_cast<double>(NumShared(predicted, truth));
  SetMetrics metrics;
  metrics.jaccard = Jaccard(predicted, truth);
  metrics.precision = predicted.empty() ? 0 : shared / static_cast<double>(predicted.size());
  metrics.recall = truth.empty() ? 0 : shared / static_cast<double>(truth.size());
  const double sum = metrics.precision + metrics.recall;
  metrics.f1 = sum > 0 ? 2 * metrics.precision * metrics.recall / sum : 0;
  metrics.ddi = ddi.Rate(predicted);
  metrics.drugs = static_cast<double>(predicted.size());
  return metrics;
}

double AveragePrecision(const std::vector<float>& scores, const std::vector<int32_t>& truth) {
  std::vector<char> given(scores.size());
  for (const int32_t drug : truth) given[drug] = 1;
  return RankedPrecision(scores, given, static_cast<double>(truth.size()));
}

double PooledAveragePrecision(const std::vector<float>& scores,
                              const std::vector<std::vector<int32_t>>& truth) {
  std::vector<char> given(scores.size());
  const size_t num_drugs = truth.empty() ? 0 : scores.size() / truth.size();
  double num_true = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    for (const int32_t drug : truth[i]) given[i * num_drugs + drug] = 1;
    num_true += static_cast<double>(truth[i].size());
  }
  return num_true > 0 ? RankedPrecision(scores, given, num_true) : 0;
}

PooledMetrics PoolSets(const std::vector<std::vector<int32_t>>& predicted,
                       const std::vector<std::vector<int32_t>>& truth, const DdiGraph& ddi) {
  double shared = 0, listed = 0, given = 0, harmful = 0, pairs = 0;
  for (size_t i = 0; i < predicted.size(); ++i) {
    const auto count = static_cast<double>(predicted[i].size());
    shared += static_cast<double>(NumShared(predicted[i], truth[i]));
    listed += count;
    given += static_cast<double>(truth[i].size());
    pairs += count * (count - 1) / 2;
    harmful += ddi.Rate(predicted[i]) * count * (count - 1) / 2;
  }
  return {Ratio(shared, listed + given - shared), Ratio(shared, listed), Ratio(shared, given),
          Ratio(2 * shared, listed + given), Ratio(harmful, pairs)};
}

}  // namespace flame
