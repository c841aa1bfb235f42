#include "recommend/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace flame {
namespace {

DdiGraph OnePair(int32_t num_drugs, int32_t a, int32_t b) {
  DdiGraph graph(num_drugs);
  graph.Add(a, b);
  return graph;
}

TEST(SetMetrics, TwoOfThreeRight_GiveTheHandComputedFigures) {
  const SetMetrics metrics = ScoreSet({4, 1, 7}, {1, 4, 2, 9}, OnePair(10, 1, 7));
  EXPECT_DOUBLE_EQ(metrics.jaccard, 2.0 / 5);
  EXPECT_DOUBLE_EQ(metrics.precision, 2.0 / 3);
  EXPECT_DOUBLE_EQ(metrics.recall, 2.0 / 4);
  EXPECT_DOUBLE_EQ(metrics.f1, 2 * (2.0 / 3) * 0.5 / (2.0 / 3 + 0.5));
  EXPECT_DOUBLE_EQ(metrics.ddi, 1.0 / 3);
  EXPECT_EQ(metrics.drugs, 3);
}

TEST(SetMetrics, EmptySets_ScoreZero) {
  for (const auto& metrics : {ScoreSet({}, {1}, DdiGraph(3)), ScoreSet({1}, {}, DdiGraph(3))}) {
    EXPECT_EQ(metrics.jaccard, 0);
    EXPECT_EQ(metrics.f1, 0);
    EXPECT_EQ(metrics.ddi, 0);
  }
}

// sklearn.metrics.average_precision_score([1,0,1,0,1,0],[.9,.8,.7,.7,.2,.1]) = 0.7
TEST(AveragePrecision, ScoresWithATie_EqualSklearn) {
  EXPECT_NEAR(AveragePrecision({.9f, .8f, .7f, .7f, .2f, .1f}, {0, 2, 4}), 0.7, 1e-6);
}

TEST(AveragePrecision, PerfectRanking_IsOne) {
  EXPECT_DOUBLE_EQ(AveragePrecision({.1f, .9f, .8f}, {1, 2}), 1.0);
}

// With one visit per patient, values are independent: the interval is about 1.96 s / sqrt(n).
TEST(BootstrapMean, IndependentVisits_MatchTheNormalInterval) {
  std::vector<double> values;
  std::vector<int32_t> patients;
  for (int i = 0; i < 400; ++i) {
    values.push_back(i % 4 == 0 ? 1.0 : 0.0);
    patients.push_back(i);
  }
  const Interval interval = BootstrapMean(values, patients, 4000, 1);
  const double half = 1.96 * std::sqrt(0.25 * 0.75 / 400);
  EXPECT_DOUBLE_EQ(interval.mean, 0.25);
  EXPECT_NEAR(interval.low, 0.25 - half, 0.006);
  EXPECT_NEAR(interval.high, 0.25 + half, 0.006);
}

// A patient's visits are drawn together, so four copies of each value do not narrow the interval.
TEST(BootstrapMean, RepeatedVisitsOfAPatient_DoNotNarrowTheInterval) {
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
  const Interval one = BootstrapMean(values, patients, 2000, 1);
  const Interval four = BootstrapMean(copies, copied_patients, 2000, 1);
  EXPECT_DOUBLE_EQ(one.low, four.low);
  EXPECT_DOUBLE_EQ(one.high, four.high);
}

}  // namespace
}  // namespace flame
