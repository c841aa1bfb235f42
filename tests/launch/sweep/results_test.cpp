#include "launch/sweep/results.h"

#include <gtest/gtest.h>

namespace flame {
namespace {

TEST(Summarize, FiveValues_MeanAndIntervalOfATable) {
  // Computed by hand: mean 3, variance 2.5; tables give t = 2.776445 for 4 degrees of freedom at
  // 97.5 %.
  const Summary summary = Summarize({1, 2, 3, 4, 5});
  EXPECT_EQ(summary.count, 5);
  EXPECT_DOUBLE_EQ(summary.mean, 3);
  ASSERT_TRUE(summary.half_width);
  EXPECT_NEAR(*summary.half_width, 2.776445 * 0.7071067811865476, 1e-6);
}

TEST(Summarize, OneValue_NoInterval) {
  EXPECT_FALSE(Summarize({1}).half_width);
  EXPECT_EQ(Summarize({}).count, 0);
}

class CriterionTest : public testing::Test {
 protected:
  void Add(const std::string& alpha, double jaccard, double ddi, bool complete = true) {
    SweepPoint point;
    point.settings = {{"reward.alpha", alpha}};
    point.complete = complete;
    point.columns["jaccard"] = {1, jaccard, {}};
    point.columns["ddi"] = {1, ddi, {}};
    points_.push_back(point);
  }
  std::vector<SweepPoint> points_;
  SweepCriterion criterion_;
};

TEST_F(CriterionTest, NoLimit_HighestJaccard) {
  Add("0", 0.50, 0.14);
  Add("5", 0.48, 0.10);
  EXPECT_EQ(BestPoint(points_, criterion_), 0u);
}

TEST_F(CriterionTest, DdiAtMost_HighestOfThoseBelow) {
  Add("0", 0.50, 0.14);
  Add("5", 0.48, 0.10);
  Add("20", 0.40, 0.05);
  criterion_.ddi_at_most = 0.10;
  EXPECT_EQ(BestPoint(points_, criterion_), 1u);
  criterion_.ddi_at_most = 0.01;
  EXPECT_EQ(BestPoint(points_, criterion_), std::nullopt);
}

TEST_F(CriterionTest, DdiWeight_TradesJaccardForDdi) {
  Add("0", 0.50, 0.14);   // 0.50 - 0.28
  Add("20", 0.40, 0.05);  // 0.40 - 0.10
  criterion_.ddi_weight = 2;
  EXPECT_EQ(BestPoint(points_, criterion_), 1u);
  EXPECT_NEAR(*ScoreOf(points_[1], criterion_), 0.30, 1e-12);
}

TEST_F(CriterionTest, PointWithTrialsOpen_NotChosen) {
  Add("0", 0.60, 0.10, /*complete=*/false);
  Add("5", 0.48, 0.10);
  EXPECT_EQ(BestPoint(points_, criterion_), 1u);
}

TEST(PointsOf, TrialsThatDifferInTheirSeed_OnePoint) {
  SweepResults results;
  for (const int seed : {1, 2}) {
    for (const char* alpha : {"0", "5"}) {
      TrialResult trial;
      trial.settings = {{"reward.alpha", alpha}};
      trial.seed = seed;
      const bool done = seed == 1 || trial.settings[0].second == "0";
      trial.status.state = done ? JobState::kDone : JobState::kRunning;
      if (done) trial.row = {{"policy", "list-grpo"}, {"jaccard", 0.1 * seed}, {"ddi", 0.2}};
      results.trials.push_back(trial);
    }
  }
  const auto points = PointsOf(results);
  ASSERT_EQ(points.size(), 2u);
  EXPECT_TRUE(points[0].complete);
  EXPECT_NEAR(points[0].columns.at("jaccard").mean, 0.15, 1e-12);
  EXPECT_FALSE(points[1].complete);
  EXPECT_EQ(points[1].columns.at("jaccard").count, 1);
}

}  // namespace
}  // namespace flame
