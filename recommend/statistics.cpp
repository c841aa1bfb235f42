#include "recommend/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/random.h"

namespace flame {

double Mean(const std::vector<double>& values) {
  double sum = 0, count = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : 0;
}

bool HasNumber(const std::vector<double>& values) {
  return std::any_of(values.begin(), values.end(), [](double value) { return !std::isnan(value); });
}

PatientStatistics::PatientStatistics(const std::vector<int32_t>& patients, int64_t resamples,
                                     uint64_t seed)
    : resamples_(resamples), seed_(seed) {
  std::map<int32_t, int32_t> places;
  for (const int32_t patient : patients) places[patient] = 0;
  for (auto& [patient, place] : places) place = static_cast<int32_t>(num_patients_++);
  for (const int32_t patient : patients) place_.push_back(places[patient]);
  RandomStream stream(seed, kBootstrap);
  drawn_.resize(static_cast<size_t>(resamples) * num_patients_);
  for (int32_t& drawn : drawn_) drawn = static_cast<int32_t>(stream.Below(num_patients_));
}

std::vector<PatientStatistics::Sum> PatientStatistics::SumByPatient(
    const std::vector<double>& values) const {
  std::vector<Sum> sums(num_patients_);
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isnan(values[i])) continue;
    sums[place_[i]].sum += values[i];
    sums[place_[i]].count += 1;
  }
  return sums;
}

Interval PatientStatistics::Bootstrap(const std::vector<double>& values) const {
  const std::vector<Sum> sums = SumByPatient(values);
  std::vector<double> means;
  for (int64_t r = 0; r < resamples_; ++r) {
    Sum total;
    const int32_t* drawn = drawn_.data() + static_cast<size_t>(r) * num_patients_;
    for (size_t i = 0; i < num_patients_; ++i) {
      total.sum += sums[drawn[i]].sum;
      total.count += sums[drawn[i]].count;
    }
    if (total.count > 0) means.push_back(total.sum / total.count);
  }
  const double mean = Mean(values);
  if (means.empty()) return {mean, mean, mean};
  std::sort(means.begin(), means.end());
  const auto last = static_cast<double>(means.size() - 1);
  return {mean, means[static_cast<size_t>(0.025 * last)], means[static_cast<size_t>(0.975 * last)]};
}

double PatientStatistics::PermutationP(const std::vector<double>& differences) const {
  std::vector<double> sums;
  double observed = 0, size = 0;
  for (const Sum& sum : SumByPatient(differences)) {
    if (sum.sum == 0) continue;
    sums.push_back(sum.sum);
    observed += sum.sum;
    size += std::abs(sum.sum);
  }
  if (sums.empty()) return 1;
  // Sums of the same terms in another order differ by rounding.
  const double bound = std::abs(observed) - 1e-12 * size;
  const bool exact = sums.size() <= kExactPatients;
  const int64_t exchanges = exact ? int64_t{1} << sums.size() : resamples_;
  RandomStream stream(seed_, kPermutation);
  int64_t far = 0;
  for (int64_t e = 0; e < exchanges; ++e) {
    auto signs = static_cast<uint64_t>(e);
    double sum = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      if (!exact && i % 32 == 0) signs = stream.Next();
      sum += (signs & 1) != 0 ? -sums[i] : sums[i];
      signs >>= 1;
    }
    if (std::abs(sum) >= bound) ++far;
  }
  const double given = exact ? 0 : 1;
  return (static_cast<double>(far) + given) / (static_cast<double>(exchanges) + given);
}

Reliability ReliabilityOf(const std::vector<double>& probabilities, const std::vector<char>& truth,
                          int64_t num_bins) {
  Reliability result;
  for (int64_t b = 0; b < num_bins; ++b) {
    const auto width = static_cast<double>(num_bins);
    result.bins.push_back(
        {static_cast<double>(b) / width, static_cast<double>(b + 1) / width, 0, 0, 0});
  }
  const double least = std::numeric_limits<double>::epsilon();
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = probabilities[i], answer = truth[i];
    const auto bin = std::find_if(result.bins.begin(), result.bins.end() - 1,
                                  [p](const Reliability::Bin& b) { return p <= b.high; });
    bin->count += 1;
    bin->mean += p;
    bin->rate += answer;
    result.brier += (p - answer) * (p - answer);
    const double bounded = std::clamp(p, least, 1 - least);
    result.log_loss -= std::log(truth[i] != 0 ? bounded : 1 - bounded);
  }
  const auto all = static_cast<double>(probabilities.size());
  result.brier /= all;
  result.log_loss /= all;
  for (Reliability::Bin& bin : result.bins) {
    if (bin.count == 0) continue;
    result.ece += std::abs(bin.mean - bin.rate) / all;
    bin.mean /= static_cast<double>(bin.count);
    bin.rate /= static_cast<double>(bin.count);
  }
  return result;
}

}  // namespace flame
