#include "trainer/sft/sft_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "trainer/micro_batch.h"

namespace flame {
namespace {

int64_t Length(int64_t example) { return 10 + example * 37 % 101; }

std::vector<std::vector<int64_t>> StepsOf(const SftOrderOptions& options, int64_t epoch) {
  SftOrder order(options, Length);
  std::vector<std::vector<int64_t>> steps;
  for (int64_t s = 0; s < order.StepsPerEpoch(); ++s) {
    steps.push_back(order.Step(epoch * order.StepsPerEpoch() + s));
  }
  return steps;
}

TEST(SftOrder, AnyWindow_ShowsEveryExampleOnceAnEpochLongestFirst) {
  for (const int64_t window : {1, 3, 100}) {
    for (const int64_t epoch : {0, 1}) {
      const auto steps = StepsOf({7, 50, 8, window}, epoch);
      ASSERT_EQ(steps.size(), 7u);
      std::set<int64_t> seen;
      for (size_t s = 0; s < steps.size(); ++s) {
        EXPECT_EQ(steps[s].size(), s < 6 ? 8u : 2u);
        seen.insert(steps[s].begin(), steps[s].end());
        EXPECT_TRUE(std::is_sorted(steps[s].begin(), steps[s].end(),
                                   [](int64_t a, int64_t b) { return Length(a) > Length(b); }));
      }
      EXPECT_EQ(seen.size(), 50u) << window;
    }
  }
}

// A window of one step only sorts: each step has the examples of the plain shuffle.
TEST(SftOrder, WindowOfOneStep_KeepsTheShufflesSteps) {
  const auto steps = StepsOf({7, 50, 8, 1}, 1);
  DataOrder shuffle(7, 50);
  for (size_t s = 0; s < steps.size(); ++s) {
    std::set<int64_t> expected;
    for (size_t i = 0; i < steps[s].size(); ++i) {
      expected.insert(shuffle.At(50 + static_cast<int64_t>(s * 8 + i)));
    }
    EXPECT_EQ(std::set<int64_t>(steps[s].begin(), steps[s].end()), expected);
  }
}

// In a large window the lengths of a step are close together and do not fall from step to step.
TEST(SftOrder, LargeWindow_MakesStepsOfLikeLengthsInDrawnOrder) {
  const auto steps = StepsOf({7, 96, 8, 12}, 0);
  std::vector<int64_t> longest;
  int64_t spread = 0;
  for (const auto& step : steps) {
    longest.push_back(Length(step.front()));
    spread = std::max(spread, Length(step.front()) - Length(step.back()));
  }
  EXPECT_LE(spread, 12);
  EXPECT_FALSE(std::is_sorted(longest.rbegin(), longest.rend()));
  EXPECT_NE(StepsOf({8, 96, 8, 12}, 0), steps);
  EXPECT_NE(StepsOf({7, 96, 8, 12}, 1), steps);
  EXPECT_EQ(StepsOf({7, 96, 8, 12}, 0), steps);
}

TEST(SftOrder, StepsAskedForOutOfOrder_AreTheSame) {
  SftOrder order({7, 50, 8, 3}, Length);
  const auto late = order.Step(12);
  order.Step(0);
  EXPECT_EQ(order.Step(12), late);
}

TEST(ShareOf, AnyNumberOfRanks_CoverTheItemsWithAboutEqualLengths) {
  std::vector<int64_t> items(13);
  std::iota(items.rbegin(), items.rend(), 1);  // 13, 12, ... 1
  EXPECT_EQ(ShareOf(items, 0, 1), items);
  EXPECT_EQ(ShareOf(items, 0, 4), (std::vector<int64_t>{13, 6, 5}));
  EXPECT_EQ(ShareOf(items, 3, 4), (std::vector<int64_t>{10, 9, 2, 1}));
  for (const int size : {2, 3, 4, 20}) {
    std::multiset<int64_t> all;
    for (int rank = 0; rank < size; ++rank) {
      for (const int64_t item : ShareOf(items, rank, size)) all.insert(item);
    }
    EXPECT_EQ(all, std::multiset<int64_t>(items.begin(), items.end())) << size;
  }
}

// With the longest examples first, all micro-batches but the last are nearly full. That is the
// purpose of the order.
TEST(CutMicroBatches, LongestFirst_FillsTheBudget) {
  SftOrder order({7, 64, 64, 1}, Length);
  std::vector<Family> families;
  int64_t tokens = 0;
  for (const int64_t example : order.Step(0)) {
    families.push_back({std::vector<int32_t>(Length(example) - 2, 1), {{{2, 2}, 1}}});
    tokens += Length(example);
  }
  constexpr int64_t kBudget = 256;
  const auto batches = CutMicroBatches(families, kBudget);
  EXPECT_EQ(static_cast<int64_t>(batches.size()), (tokens + kBudget - 1) / kBudget);
}

}  // namespace
}  // namespace flame
