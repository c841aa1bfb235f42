#include "reward/matcher.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

TEST(DrugMatcher, CaseSpacesAndHyphens_DoNotMatter) {
  const DrugMatcher matcher({"Amoxicillin-Clavulanate", "insulin glargine", "Vitamin B-12"});
  EXPECT_EQ(matcher.Match("amoxicillin clavulanate"), 0);
  EXPECT_EQ(matcher.Match("  AMOXICILLIN - CLAVULANATE "), 0);
  EXPECT_EQ(matcher.Match("Insulin-Glargine\r"), 1);
  EXPECT_EQ(matcher.Match("vitaminb12"), 2);
}

TEST(DrugMatcher, PartOfANameOrMore_IsNoDrug) {
  const DrugMatcher matcher({"insulin glargine"});
  EXPECT_EQ(matcher.Match("insulin"), -1);
  EXPECT_EQ(matcher.Match("insulin glargine 10 units"), -1);
  EXPECT_EQ(matcher.Match("insulin_glargine"), -1);
  EXPECT_EQ(matcher.Match(""), -1);
  EXPECT_EQ(matcher.Match(" - "), -1);
}

TEST(DrugMatcher, TwoDrugsOfOneName_AreRefusedByName) {
  try {
    DrugMatcher matcher({"GW-468816", "aspirin", "GW 468816"});
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("GW 468816"), std::string::npos) << error.what();
  }
  EXPECT_THROW(DrugMatcher({"aspirin", " -"}), DataError);
}

}  // namespace
}  // namespace flame
