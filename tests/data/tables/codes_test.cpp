#include "data/tables/codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flame {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Codes = std::vector<std::string>;

TEST(NdcReadings, ElevenDigits_AreThemselves) {
  EXPECT_THAT(NdcReadings("00073458001"), ElementsAre("000734580"));
  EXPECT_THAT(NdcReadings(" '00073458001' "), ElementsAre("000734580"));
}

TEST(NdcReadings, LostZeros_ArePutBack) {
  for (const char* text : {"73458001", "73458001.0", "7.3458001E7", "7.3458001e+07"}) {
    EXPECT_THAT(NdcReadings(text), ElementsAre("000734580")) << text;
  }
}

TEST(NdcReadings, Hyphens_EndTheSegments) {
  for (const char* text : {"00073-4580-01", "0073-4580-01", "73-4580-1", "0073-4580"}) {
    EXPECT_THAT(NdcReadings(text), ElementsAre("000734580")) << text;
  }
  EXPECT_THAT(NdcReadings("12345-678-90"), ElementsAre("123450678"));
}

TEST(NdcReadings, TenDigits_CanBeReadInThreeWays) {
  EXPECT_THAT(NdcReadings("1234567890"), ElementsAre("012345678", "123450678", "123456789"));
  EXPECT_THAT(NdcReadings("1234567890.0"), ElementsAre("012345678"));
}

TEST(NdcReadings, CutOffZeroAndNoNumber_HaveNone) {
  for (const char* text : {"7.34580E+10", "0", "00000000000", "", "aspirin", "123456789012",
                           "1-2-3-x", "-", "1.5", "123456-1-1", "7.3E", "7.3458001E-7"}) {
    EXPECT_THAT(NdcReadings(text), IsEmpty()) << text;
  }
}

TEST(IsNoNdc, ZerosAndMissingValues) {
  for (const char* text : {"", " ", "0", "0.0", "0.00", "00000000000", "nan", "NaN", "<NA>", "-"}) {
    EXPECT_TRUE(IsNoNdc(text)) << text;
  }
  for (const char* text : {"1", "00000000111", "aspirin"}) EXPECT_FALSE(IsNoNdc(text)) << text;
}

TEST(Ndc9OfKey, SpellingsOfAMappingsKey) {
  for (const char* text : {"000734580", "734580", "734580.0", "00073-4580", "73-4580", " 734580"}) {
    EXPECT_EQ(Ndc9OfKey(text), "000734580") << text;
  }
  for (const char* text : {"", "00073458001", "73458001111", "00073-4580-01", "aspirin"}) {
    EXPECT_EQ(Ndc9OfKey(text), std::nullopt) << text;
  }
}

TEST(CanonicalIcd9, MimicsOwn_Unchanged) {
  const Codes codes = {"0389", "25000", "V4581", "E8497", "389"};
  EXPECT_EQ(CanonicalIcd9(CodeKind::kDiagnosis, codes), codes);
}

TEST(CanonicalIcd9, Dots_AreDroppedAndZerosBeforeThemPutBack) {
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis,
                            {"401.9", "038.9", "38.9", "V45.81", "E849.7", "401.0", "4019"}),
              ElementsAre("4019", "0389", "0389", "V4581", "E8497", "4010", "4019"));
  EXPECT_THAT(CanonicalIcd9(CodeKind::kProcedure, {"96.04", "3.31", "38.93"}),
              ElementsAre("9604", "0331", "3893"));
}

TEST(CanonicalIcd9, TableOfNumbers_LosesItsFractions) {
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"4019.0", "0389.0", "389.0", "V4581"}),
              ElementsAre("4019", "0389", "389", "V4581"));
  EXPECT_THAT(CanonicalIcd9(CodeKind::kProcedure, {"9604.0", "331.0"}), ElementsAre("9604", "331"));
}

TEST(CanonicalIcd9, LetterOrZeroInFront_ShowsThatDotsAreReal) {
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"V10.0", "428.0", "E849.0"}),
              ElementsAre("V100", "4280", "E8490"));
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"038.0", "428.0", "250.00"}),
              ElementsAre("0380", "4280", "25000"));
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"4019.0", "V10.0"}),
              ElementsAre("4019", "V100"));
}

TEST(CanonicalIcd9, EitherReading_StaysAsItIs) {
  const Codes codes = {"401.0", "389.0"};
  EXPECT_EQ(CanonicalIcd9(CodeKind::kDiagnosis, codes), codes);
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"4019.0", "401.9", "250.0"}),
              ElementsAre("4019", "4019", "250.0"))
      << "the column tells both";
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"38.9", "401.9", "250.0"}),
              ElementsAre("0389", "4019", "250.0"))
      << "250.0 may have been 250.00";
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, {"38.9", "250.00", "428.0"}),
              ElementsAre("0389", "25000", "4280"));
}

TEST(CanonicalIcd9, BlanksAndLowerCase_AreRepaired) {
  EXPECT_THAT(
      CanonicalIcd9(CodeKind::kDiagnosis, {" 4019 ", "v4581\t", "\u00a04280\u00a0", "\ufeff0389"}),
      ElementsAre("4019", "V4581", "4280", "0389"));
}

TEST(CanonicalIcd9, NoCode_StaysAsItIs) {
  const Codes codes = {"4.0.1", ".", "A.B", "401.9"};
  EXPECT_THAT(CanonicalIcd9(CodeKind::kDiagnosis, codes), ElementsAre("4.0.1", ".", "A.B", "4019"));
}

}  // namespace
}  // namespace flame
