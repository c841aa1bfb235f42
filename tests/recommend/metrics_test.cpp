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

// Two lists of two visits: 2 shared of 3 + 2 listed and 4 + 1 given; one pair of 3 + 1 interacts.
TEST(PooledMetrics, TwoVisits_GiveTheHandComputedFigures) {
  const PooledMetrics pooled =
      PoolSets({{4, 1, 7}, {3, 5}}, {{1, 4, 2, 9}, {6}}, OnePair(10, 1, 7));
  EXPECT_DOUBLE_EQ(pooled.jaccard, 2.0 / 8);
  EXPECT_DOUBLE_EQ(pooled.precision, 2.0 / 5);
  EXPECT_DOUBLE_EQ(pooled.recall, 2.0 / 5);
  EXPECT_DOUBLE_EQ(pooled.f1, 2.0 / 5);
  EXPECT_DOUBLE_EQ(pooled.ddi, 1.0 / 4);
}

}  // namespace
}  // namespace flame
