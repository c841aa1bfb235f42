#include "recommend/metrics.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "base/random.h"

namespace flame {
namespace {

int64_t NumShared(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return std::count_if(a.begin(), a.end(), [&](int32_t drug) {
    return std::find(b.begin(), b.end(), drug) != b.end();
  });
}

struct PatientSum {
  double sum = 0;
  int64_t count = 0;
};

std::vector<PatientSum> SumByPatient(const std::vector<double>& values,
                                     const std::vector<int32_t>& patients) {
  std::map<int32_t, PatientSum> sums;
  for (size_t i = 0; i < values.size(); ++i) {
    PatientSum& sum = sums[patients[i]];
    sum.sum += values[i];
    sum.count += 1;
  }
  std::vector<PatientSum> list;
  for (const auto& [patient, sum] : sums) list.push_back(sum);
  return list;
}

double ResampledMean(const std::vector<PatientSum>& sums, RandomStream* stream) {
  PatientSum total;
  for (size_t i = 0; i < sums.size(); ++i) {
    const PatientSum& drawn = sums[stream->Below(sums.size())];
    total.sum += drawn.sum;
    total.count += drawn.count;
  }
  return total.sum / static_cast<double>(total.count);
}

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
  std::vector<int32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  double area = 0;
  int64_t hits = 0, last_hits = 0;
  for (size_t n = 0; n < order.size(); ++n) {
    if (std::find(truth.begin(), truth.end(), order[n]) != truth.end()) ++hits;
    // Equal scores form one threshold.
    if (n + 1 < order.size() && scores[order[n + 1]] == scores[order[n]]) continue;
    const double precision = static_cast<double>(hits) / static_cast<double>(n + 1);
    area += precision * static_cast<double>(hits - last_hits) / static_cast<double>(truth.size());
    last_hits = hits;
  }
  return area;
}

Interval BootstrapMean(const std::vector<double>& values, const std::vector<int32_t>& patients,
                       int64_t resamples, uint64_t seed) {
  Interval interval;
  interval.mean =
      std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  const std::vector<PatientSum> sums = SumByPatient(values, patients);
  RandomStream stream(seed, kBootstrap);
  std::vector<double> means(resamples);
  for (double& mean : means) mean = ResampledMean(sums, &stream);
  std::sort(means.begin(), means.end());
  interval.low = means[static_cast<size_t>(0.025 * static_cast<double>(resamples - 1))];
  interval.high = means[static_cast<size_t>(0.975 * static_cast<double>(resamples - 1))];
  return interval;
}

}  // namespace flame
