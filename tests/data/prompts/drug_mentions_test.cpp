#include "data/prompts/drug_mentions.h"

#include <gtest/gtest.h>

namespace flame {
namespace {

std::string Marked(const std::vector<std::string>& names, const std::string& text) {
  return DrugMentions(names).Linked(text, [](int32_t drug, const std::string& name) {
    return name + "<" + std::to_string(drug) + ">";
  });
}

const std::vector<std::string> kNames = {"Aspirin", "5-FU", "Insulin", "Insulin glargine",
                                         "Vitamin C (ascorbic)"};

TEST(DrugMentions, Names_InAnyCaseAsWritten) {
  EXPECT_EQ(Marked(kNames, "aspirin 81 mg, ASPIRIN"), "aspirin<0> 81 mg, ASPIRIN<0>");
  EXPECT_EQ(Marked(kNames, "5-fu."), "5-fu<1>.");
}

TEST(DrugMentions, LongerName_GoesFirst) {
  EXPECT_EQ(Marked(kNames, "insulin glargine, insulin"), "insulin glargine<3>, insulin<2>");
  EXPECT_EQ(Marked(kNames, "vitamin c (ascorbic), x"), "vitamin c (ascorbic)<4>, x");
}

TEST(DrugMentions, PartsOfWords_AreNone) {
  for (const char* text : {"aspirins", "unaspirin", "15-FU", "insulinlike", "", ", ."}) {
    EXPECT_EQ(Marked(kNames, text), text);
  }
  EXPECT_EQ(Marked(kNames, "insulin glargines"), "insulin<2> glargines");
}

TEST(DrugMentions, NamesWithoutALetterInFront_AreIgnored) {
  EXPECT_EQ(Marked({"(R)-x", ""}, "(R)-x y"), "(R)-x y");
}

TEST(DrugMentions, OtherBytes_StayAsTheyAre) {
  EXPECT_EQ(Marked(kNames, "caf\u00e9 aspirin\u00e9"), "caf\u00e9 aspirin<0>\u00e9");
}

}  // namespace
}  // namespace flame
