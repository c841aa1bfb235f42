// Statistics of figures that are one per visit. Visits of a patient are not independent, so
// patients are drawn or exchanged, each with all its visits. A visit whose figure is not a number
// has none and counts nowhere.
#ifndef FLAME_RECOMMEND_STATISTICS_H_
#define FLAME_RECOMMEND_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace flame {

// Returns the mean of the values that are numbers; 0 if there is none.
double Mean(const std::vector<double>& values);

bool HasNumber(const std::vector<double>& values);  // true if one of them is a number

struct Interval {
  double mean = 0, low = 0, high = 0;
};

class PatientStatistics {
 public:
  // Visit i is of patients[i]. `resamples` >= 1.
  PatientStatistics(const std::vector<int32_t>& patients, int64_t resamples, uint64_t seed);

  // Returns the mean over visits and its 95 % percentile interval over resamples, each of as many
  // patients, drawn with replacement. Resamples that draw no value are left out.
  Interval Bootstrap(const std::vector<double>& values) const;

  // Returns the two-sided p-value of the hypothesis that `differences` are as likely with the other
  // sign: the share of exchanges, a sign for each patient, whose sum is at least as far from 0. All
  // exchanges are counted up to kExactPatients patients with a difference. Above, `resamples`
  // random ones are, and the given one with them, so that the least value is 1 / (resamples + 1)
  // (Phipson and Smyth 2010).
  double PermutationP(const std::vector<double>& differences) const;
  static constexpr size_t kExactPatients = 14;

 private:
  struct Sum {
    double sum = 0, count = 0;
  };
  std::vector<Sum> SumByPatient(const std::vector<double>& values) const;

  std::vector<int32_t>
      place_;  // [visit]: its patient's place among the distinct patients, ascending
  size_t num_patients_ = 0;
  int64_t resamples_;
  uint64_t seed_;
  std::vector<int32_t> drawn_;  // [resamples, patients]: the patients of each resample
};

// How well probabilities of yes-or-no answers agree with the answers.
struct Reliability {
  struct Bin {
    double low = 0, high = 0;  // probabilities in (low, high]; the first bin has 0 too
    int64_t count = 0;
    double mean = 0, rate = 0;  // the mean probability, and the share of true answers
  };
  std::vector<Bin> bins;  // of equal width
  double ece = 0;         // expected calibration error: the mean of |mean - rate| over answers
  double brier = 0;       // the mean of (probability - answer)^2
  double log_loss = 0;    // the mean of -log(probability of the answer), probabilities within 2^-52
                          // of 0 and 1 moved to there
};
// `truth` is 0 or 1 for each probability. Both have a size above 0.
Reliability ReliabilityOf(const std::vector<double>& probabilities, const std::vector<char>& truth,
                          int64_t num_bins = 10);

}  // namespace flame

#endif  // FLAME_RECOMMEND_STATISTICS_H_
