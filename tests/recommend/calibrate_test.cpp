#include "recommend/calibrate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/random.h"
#include "recommend/metrics.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using Sets = std::vector<std::vector<int32_t>>;

double MeanJaccard(const std::vector<float>& logits, const Sets& truth, int32_t num_drugs,
                   double offset) {
  double sum = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    std::vector<int32_t> predicted;
    for (int32_t drug = 0; drug < num_drugs; ++drug) {
      if (logits[i * num_drugs + drug] > offset) predicted.push_back(drug);
    }
    sum += Jaccard(predicted, truth[i]);
  }
  return sum / static_cast<double>(truth.size());
}

struct Case {
  std::vector<float> logits;
  Sets truth;
};

// Makes random logits and truths: a drug with a higher logit is more often true. `shift` moves all
// logits; `step` rounds them, so that many are equal.
Case RandomCase(uint64_t seed, int64_t visits, int32_t num_drugs, double shift, double step) {
  RandomStream random(seed);
  Case made;
  for (int64_t i = 0; i < visits; ++i) {
    std::vector<int32_t> truth;
    for (int32_t drug = 0; drug < num_drugs; ++drug) {
      const double logit = 2 * random.Normal() - 1;
      if (random.Bernoulli(1 / (1 + std::exp(-logit)))) truth.push_back(drug);
      const double moved = logit + shift;
      made.logits.push_back(static_cast<float>(step > 0 ? step * std::round(moved / step) : moved));
    }
    made.truth.push_back(truth);
  }
  return made;
}

TEST(BestOffset, RandomLogits_NoOffsetIsBetter) {
  for (const double step : {0.0, 0.5}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const Case some = RandomCase(seed, 5, 9, 3 * static_cast<double>(seed % 5) - 6, step);
      const Calibration best = BestOffset(some.logits, some.truth, 9);
      EXPECT_NEAR(best.jaccard, MeanJaccard(some.logits, some.truth, 9, best.offset), 1e-12);
      EXPECT_NEAR(best.jaccard_paper, MeanJaccard(some.logits, some.truth, 9, 0), 1e-12);
      EXPECT_EQ(best.num_visits, 5);
      for (double offset = -12; offset < 12; offset += 0.01) {
        EXPECT_LE(MeanJaccard(some.logits, some.truth, 9, offset), best.jaccard + 1e-12);
      }
    }
  }
}

TEST(BestOffset, LogitThatIsNoNumber_Refused) {
  EXPECT_THROW(BestOffset({3, std::numeric_limits<float>::quiet_NaN()}, {{0}}, 2), DataError);
}

TEST(BestOffset, PerfectAtZero_StaysThere) {
  const Calibration best = BestOffset({3, -1, 0.5, -2}, {{0}, {0}}, 2);
  EXPECT_EQ(best.offset, 0);
  EXPECT_EQ(best.jaccard, 1);
  EXPECT_EQ(best.jaccard_paper, 1);
}

TEST(BestOffset, AllTooLow_LiesMidwayBetweenNeighbours) {
  const Calibration best = BestOffset({-1, -3, -2, -4}, {{0}, {0}}, 2);
  EXPECT_EQ(best.offset, -2.5);
  EXPECT_EQ(best.jaccard, 1);
  EXPECT_EQ(best.jaccard_paper, 0);
}

TEST(BestOffset, EverythingOrNothing_LiesOutsideTheLogits) {
  EXPECT_EQ(BestOffset({-1, -3}, {{0, 1}}, 2).offset, -4);
  EXPECT_EQ(BestOffset({1, 3}, {{}}, 2).offset, 0);  // every prediction scores 0
}

TEST(Threshold, WrittenAndRead_IsTheSame) {
  const TemporaryFolder folder;
  EXPECT_EQ(ReadThreshold(folder.path()), 0);
  WriteThreshold({}, folder.path());  // no visits: writes nothing
  EXPECT_FALSE(std::filesystem::exists(folder.path() / kThresholdFile));
  WriteThreshold({-0.1234567890123456, 0.5, 0.4, 7}, folder.path());
  EXPECT_EQ(ReadThreshold(folder.path()), -0.1234567890123456);
  WriteFileAtomically(folder.path() / kThresholdFile, "{\"offset\": \"low\"}");
  EXPECT_THROW(ReadThreshold(folder.path()), DataError);
}

}  // namespace
}  // namespace flame
