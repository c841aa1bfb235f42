#include "data/hospitals/split.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr Split kTrain = Split::kTrain, kValidation = Split::kValidation, kTest = Split::kTest;

// Seven visits of four patients with 2, 1, 3 and 1 visits, in these years of the calendar.
std::vector<Visit> SevenVisits() {
  const int32_t patients[] = {0, 0, 1, 2, 2, 2, 3};
  const int32_t years[] = {2010, 2013, 2008, 2010, 2011, 2013, 2010};
  std::vector<Visit> visits(7);
  for (size_t i = 0; i < visits.size(); ++i) {
    visits[i].patient = patients[i];
    visits[i].year = years[i];
    visits[i].hadm = 100 + static_cast<int64_t>(i);
  }
  return visits;
}

std::vector<Split> SplitsOf(const std::string& by, const std::vector<int64_t>& shares,
                            std::vector<Visit> visits) {
  SplitVisits(by, shares, &visits);
  std::vector<Split> splits;
  for (const Visit& visit : visits) splits.push_back(visit.split);
  return splits;
}

// 7 * 4 / 6 = 4 and 7 * 5 / 6 = 5.
TEST(SplitVisitsTest, Position_CutsTheListOfVisits) {
  EXPECT_THAT(SplitsOf("position", {4, 1, 1}, SevenVisits()),
              ElementsAre(kTrain, kTrain, kTrain, kTrain, kValidation, kTest, kTest));
}

// Of four patients two are cut off at 4 * 2 / 4 and three at 4 * 3 / 4.
TEST(SplitVisitsTest, Patient_WholePatients) {
  EXPECT_THAT(SplitsOf("patient", {2, 1, 1}, SevenVisits()),
              ElementsAre(kTrain, kTrain, kTrain, kValidation, kValidation, kValidation, kTest));
  EXPECT_THAT(SplitsOf("patient", {1, 1, 2}, SevenVisits()),
              ElementsAre(kTrain, kTrain, kValidation, kTest, kTest, kTest, kTest));
}

// By year: visit 2 (2008), then 0, 3, 6 (2010), 4 (2011), 1, 5 (2013). The first four train, the
// fifth validates.
TEST(SplitVisitsTest, Time_LaterYearsAreHeldOut) {
  EXPECT_THAT(SplitsOf("time", {4, 1, 1}, SevenVisits()),
              ElementsAre(kTrain, kTest, kTrain, kTrain, kValidation, kTest, kTrain));
  // The cuts at 7 * 2 / 5 = 2 and 7 * 3 / 5 = 4 fall into the three visits of 2010.
  EXPECT_THAT(SplitsOf("time", {2, 1, 2}, SevenVisits()),
              ElementsAre(kTrain, kTest, kTrain, kValidation, kTest, kTest, kValidation));
}

TEST(SplitVisitsTest, Time_NoVisitIsLaterThanOneOfALaterSplit) {
  std::vector<Visit> visits(200);
  for (size_t i = 0; i < visits.size(); ++i) {
    visits[i].year = 2008 + static_cast<int32_t>(i * 37 % 11);
  }
  SplitByTime({4, 1, 1}, &visits);
  int32_t last[3] = {0, 0, 0}, first[3] = {9999, 9999, 9999};
  int64_t counts[3] = {0, 0, 0};
  for (const Visit& visit : visits) {
    const auto split = static_cast<size_t>(visit.split);
    last[split] = std::max(last[split], visit.year);
    first[split] = std::min(first[split], visit.year);
    ++counts[split];
  }
  EXPECT_LE(last[0], first[1]);
  EXPECT_LE(last[1], first[2]);
  EXPECT_THAT(counts, ElementsAre(133, 33, 34));
}

TEST(SplitVisitsTest, Time_VisitWithoutYear_UsageErrorSaysWhy) {
  std::vector<Visit> visits = SevenVisits();
  visits[3].year = visits[5].year = 0;
  try {
    SplitByTime({4, 1, 1}, &visits);
    FAIL() << "a visit without a year was split by time";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("2 of 7 visits, such as HADM_ID 103"),
                                    HasSubstr("shifts the dates of each patient")));
  }
}

TEST(SplitVisitsTest, NoVisitsAndOtherNames) {
  for (const char* by : {"position", "patient", "time"}) {
    EXPECT_THAT(SplitsOf(by, {4, 1, 1}, {}), ElementsAre()) << by;
  }
  EXPECT_THROW(SplitsOf("random", {4, 1, 1}, SevenVisits()), UsageError);
}

}  // namespace
}  // namespace flame
