#include "recommend/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace flame {
namespace {

// With one visit per patient, values are independent: the interval is about 1.96 s / sqrt(n).
TEST(Bootstrap, IndependentVisits_MatchTheNormalInterval) {
  std::vector<double> values;
  std::vector<int32_t> patients;
  for (int i = 0; i < 400; ++i) {
    values.push_back(i % 4 == 0 ? 1.0 : 0.0);
    patients.push_back(i);
  }
  const Interval interval = PatientStatistics(patients, 4000, 1).Bootstrap(values);
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_DOUBLE_EQ(interval.mean, 0.25);
  EXPECT_NEAR(interval.low, 0.25 - half, 0.006);
  EXPECT_NEAR(interval.high, 0.25 + half, 0.006);
}

// A patient's visits are drawn together, so four copies of each value do not narrow the interval.
TEST(Bootstrap, RepeatedVisitsOfAPatient_DoNotNarrowTheInterval) {
  std::vector<double> values, copies;
  std::vector<int32_t> patients, copied_patients;
  for (int i = 0; i < 100; ++i) {
    values.push_back(i % 2);
    patients.push_back(i);
    for (int k = 0; k < 4; ++k) {
      copies.push_back(i % 2);
      copied_patients.push_back(i);
    }
  }
  const Interval one = PatientStatistics(patients, 2000, 1).Bootstrap(values);
  const Interval four = PatientStatistics(copied_patients, 2000, 1).Bootstrap(copies);
  EXPECT_DOUBLE_EQ(one.low, four.low);
  EXPECT_DOUBLE_EQ(one.high, four.high);
}

// Visits without a value count nowhere: the mean is that of the others.
TEST(Bootstrap, VisitsWithoutAValue_CountNowhere) {
  const double none = std::nan("");
  const Interval interval = PatientStatistics({0, 0, 1, 2}, 500, 1).Bootstrap({1, none, 1, none});
  EXPECT_DOUBLE_EQ(interval.mean, 1);
  EXPECT_DOUBLE_EQ(interval.low, 1);
  EXPECT_DOUBLE_EQ(interval.high, 1);
}

// Three patients with sums 1, 2 and 3: two of eight exchanges, all signs alike, are as far as 6.
TEST(PermutationP, FewPatients_CountAllExchanges) {
  const PatientStatistics statistics({0, 1, 1, 2}, 100, 1);
  EXPECT_DOUBLE_EQ(statistics.PermutationP({1, 0.5, 1.5, 3}), 2.0 / 8);
  EXPECT_DOUBLE_EQ(statistics.PermutationP({1, -0.5, 0.5, 0}), 1);
  EXPECT_DOUBLE_EQ(statistics.PermutationP({0, 0, 0, 0}), 1);
}

// Forty patients of equal sums: no random exchange is as far, and the given one alone counts.
TEST(PermutationP, AClearDifference_HasTheLeastValue) {
  std::vector<double> differences(40, 0.1);
  std::vector<int32_t> patients;
  for (int32_t i = 0; i < 40; ++i) patients.push_back(i);
  EXPECT_DOUBLE_EQ(PatientStatistics(patients, 999, 1).PermutationP(differences), 1.0 / 1000);
}

// The bins are closed above, and the first one also below.
TEST(Reliability, ProbabilitiesOnEdges_FallIntoTheLowerBin) {
  const Reliability reliability = ReliabilityOf({0, 0.5, 0.5, 0.75, 1}, {0, 1, 0, 1, 1}, 2);
  ASSERT_EQ(reliability.bins.size(), 2u);
  EXPECT_EQ(reliability.bins[0].count, 3);
  EXPECT_DOUBLE_EQ(reliability.bins[0].mean, 1.0 / 3);
  EXPECT_DOUBLE_EQ(reliability.bins[0].rate, 1.0 / 3);
  EXPECT_DOUBLE_EQ(reliability.bins[1].mean, 0.875);
  EXPECT_DOUBLE_EQ(reliability.ece, 0.4 * 0.125);
  EXPECT_DOUBLE_EQ(reliability.brier, (0.25 + 0.25 + 0.0625) / 5);
}

}  // namespace
}  // namespace flame
