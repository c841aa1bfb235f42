#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <vector>

namespace flame {
namespace {

using Words = std::array<uint32_t, 4>;

// The vectors are the lines "philox4x32 10" of Random123 1.14, tests/kat_vectors.
TEST(Philox, PublishedVectors_Equal) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(Philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// The counter is (index, a, b, c) and the key is the seed, low word first, so these arguments reach
// the third vector above.
TEST(RandomStream, PublishedVector_ReachedThroughSeedAndArguments) {
  const RandomStream stream(0x299f31d0a4093822, 0x85a308d3, 0x13198a2e, 0x03707344);
  const uint64_t bits = 0x94fdccebd16cfe09;
  EXPECT_EQ(stream.UniformAt(0x243f6a88), static_cast<double>(bits >> 11) / std::pow(2.0, 53));
}

TEST(RandomStream, UniformAt_EqualsDrawsInOrder) {
  RandomStream stream(7, kSampling, 3, 1);
  const RandomStream same(7, kSampling, 3, 1);
  for (uint32_t i = 0; i < 100; ++i) EXPECT_EQ(stream.Uniform(), same.UniformAt(i));
}

TEST(RandomStream, OtherArguments_OtherNumbers) {
  std::set<double> first;
  for (const auto& stream :
       {RandomStream(1), RandomStream(2), RandomStream(1, 1), RandomStream(1, 0, 1),
        RandomStream(1, 0, 0, 1), RandomStream(uint64_t{1} << 32 | 1)}) {
    first.insert(stream.UniformAt(0));
  }
  EXPECT_EQ(first.size(), 6u);
}

// The test statistic is Pearson's chi-squared of 16 cells; 37.7 is the 0.999 quantile of 15 degrees
// of freedom.
TEST(RandomStream, Uniform_FillsCellsEvenly) {
  constexpr int kDraws = 160000, kCells = 16;
  RandomStream stream(11, kSynth);
  std::vector<double> counts(kCells);
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(stream.Uniform() * kCells)];
  double chi_squared = 0;
  for (const double count : counts) {
    chi_squared += std::pow(count - kDraws / kCells, 2) / (kDraws / kCells);
  }
  EXPECT_LT(chi_squared, 37.7);
}

TEST(RandomStream, Below_ReachesEachResidueEvenly) {
  RandomStream stream(12);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(stream.Below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(stream.Below(1), 0u);
  EXPECT_LT(stream.Below(~uint64_t{0}), ~uint64_t{0});
}

TEST(RandomStream, Normal_HasMomentsOfStandardNormal) {
  RandomStream stream(13);
  double sum = 0, squares = 0, fourth = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = stream.Normal();
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.015);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
  EXPECT_NEAR(fourth / kDraws, 3, 0.15);
}

TEST(RandomStream, Weighted_FollowsWeightsAndSkipsZero) {
  RandomStream stream(14);
  std::vector<int> counts(4);
  for (int i = 0; i < 40000; ++i) ++counts.at(stream.Weighted({1, 0, 3, 0}));
  EXPECT_NEAR(counts[0], 10000, 400);
  EXPECT_NEAR(counts[2], 30000, 400);
  EXPECT_EQ(counts[1] + counts[3], 0);
}

TEST(RandomStream, Shuffle_IsAPermutationEachPlaceEven) {
  std::vector<int> first_place(5);
  for (uint32_t i = 0; i < 10000; ++i) {
    std::vector<int> items(5);
    std::iota(items.begin(), items.end(), 0);
    RandomStream(15, kDataOrder, i).Shuffle(&items);
    ++first_place.at(static_cast<size_t>(items[0]));
    std::sort(items.begin(), items.end());
    ASSERT_EQ(items, (std::vector<int>{0, 1, 2, 3, 4}));
  }
  for (const int count : first_place) EXPECT_NEAR(count, 2000, 200);
}

}  // namespace
}  // namespace flame
