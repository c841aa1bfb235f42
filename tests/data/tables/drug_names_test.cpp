#include "data/tables/drug_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::ThrowsMessage;

using Rule = DrugNameRule;

const std::vector<DrugNameId> kNames = {{"Acetaminophen", "DB00316"},
                                        {"Hydrocodone", "DB00956"},
                                        {"Furosemide", "DB00695"},
                                        {"Diltiazem", "DB00343"},
                                        {"Metoprolol", "DB00264"},
                                        {"Atorvastatin", "DB01076"},
                                        {"Calcium", "DB01373"},
                                        {"Calcium carbonate", "DB06724"},
                                        {"Potassium", "DB14500"},
                                        {"Potassium chloride", "DB00761"},
                                        {"Sodium chloride", "DB09153"},
                                        {"Sodium phosphate, dibasic", "DB14502"},
                                        {"D-glucose", "DB01914"},
                                        {"Vancomycin", "DB00512"},
                                        {"Piperacillin", "DB00319"},
                                        {"Tazobactam", "DB01606"},
                                        {"Insulin human", "DB00030"},
                                        {"Insulin aspart", "DB01306"},
                                        {"Insulin lispro", "DB00046"},
                                        {"Isosorbide", "DB09401"},
                                        {"Hydrocortisone", "DB00741"},
                                        {"Hydrocortisone acetate", "DB14539"},
                                        {"Codeine", "DB00318"},
                                        {"Iodine", "DB05382"},
                                        {"Iopamidol", "DB08947"},
                                        {"Plantago seed", "DB11097"},
                                        {"TMP", "DB03280"},
                                        {"Orange", "DB10593"},
                                        {"Acetate", "DB03166"},
                                        {"Water", "DB09145"}};

const std::vector<DrugNameId> kSynonyms = {{"lasix", "DB00695"},
                                           {"tylenol", "DB00316"},
                                           {"tylenol 3", "DB00316"},
                                           {"tylenol 3", "DB00318"},
                                           {"apap", "DB00316"},
                                           {"norco", "DB00316"},
                                           {"norco", "DB00956"},
                                           {"kcl", "DB00761"},
                                           {"nacl", "DB09153"},
                                           {"ns", "DB09153"},
                                           {"dextrose", "DB01914"},
                                           {"d5w", "DB01914"},
                                           {"insulin regular", "DB00030"},
                                           {"sodium phosphates", "DB14502"},
                                           {"hydrocortisone acetate", "DB00741"},
                                           {"metamucil", "DB11097"},
                                           {"atorvastatin calcium", "DB01076"},
                                           {"isosorbide", ""}};

class DrugNamesTest : public testing::Test {
 protected:
  std::vector<std::string> Drugs(std::string_view name) const { return matcher_.Match(name).drugs; }
  Rule RuleOf(std::string_view name) const { return matcher_.Match(name).rule; }

  DrugNameMatcher matcher_{kNames, kSynonyms};
};

TEST_F(DrugNamesTest, BlankName_IsBlank) {
  for (const char* name : {"", " ", "\t "}) {
    EXPECT_EQ(RuleOf(name), Rule::kBlank) << name;
    EXPECT_THAT(Drugs(name), IsEmpty()) << name;
  }
}

TEST_F(DrugNamesTest, EachRule_IsReported) {
  EXPECT_EQ(RuleOf("furOSEMIDE"), Rule::kExactName);
  EXPECT_EQ(RuleOf("4 ML VIAL : FUROSEMIDE 10 MG/ML IJ SOLN"), Rule::kForm);
  EXPECT_EQ(RuleOf("DILTIAZEM HCL"), Rule::kSalt);
  EXPECT_EQ(RuleOf("5 ML VIAL : DILTIAZEM HCL 25 MG/5ML IV SOLN"), Rule::kSalt);
  EXPECT_EQ(RuleOf("Lasix 20 mg"), Rule::kSynonym);
  EXPECT_EQ(RuleOf("NORCO 5/325 TAB"), Rule::kCombination);
  EXPECT_EQ(RuleOf("vancomycin 1 g in NS 250 mL IVPB"), Rule::kMixture);
  EXPECT_EQ(RuleOf("furosemide (LASIX) injection 20 mg"), Rule::kForm);
}

TEST_F(DrugNamesTest, RuleWords_AllDiffer) {
  std::set<std::string_view> words;
  for (int rule = 0; rule < kNumDrugNameRules; ++rule) {
    words.insert(DrugNameRuleWords(static_cast<Rule>(rule)));
  }
  EXPECT_EQ(words.size(), static_cast<size_t>(kNumDrugNameRules));
}

TEST_F(DrugNamesTest, StrengthFormAndRoute_AreRemoved) {
  for (const char* name :
       {"FUROSEMIDE 40 MG PO TABS", "1,000 MG FUROSEMIDE", "<<furosemide 4mg/4 mL15 mL Inj",
        "furosemide 20MEQ unit(s) (PF) I.V. **LOCKED DOSE", "FUROSEMIDE .4 ML SYRINGE",
        "FUROSEMIDE 0.5 G", "0.5 ML  -  FUROSEMIDE"}) {
    EXPECT_THAT(Drugs(name), ElementsAre("DB00695")) << name;
  }
}

TEST_F(DrugNamesTest, SaltOfADrug_GivesTheDrug) {
  EXPECT_THAT(Drugs("METOPROLOL TARTRATE 25 MG PO TABS"), ElementsAre("DB00264"));
  EXPECT_THAT(Drugs("DILTIAZEM SOD"), ElementsAre("DB00343"));
  EXPECT_THAT(Drugs("ATORVASTATIN CALCIUM 10 MG"), ElementsAre("DB01076"));
  EXPECT_THAT(Drugs("HYDROCORTISONE SOD SUCCINATE"), ElementsAre("DB00741"));
  EXPECT_THAT(Drugs("hydrocortisone acetate"), ElementsAre("DB00741"));
}

TEST_F(DrugNamesTest, SaltWithItsOwnId_KeepsIt) {
  EXPECT_THAT(Drugs("CALCIUM CARBONATE 500 MG"), ElementsAre("DB06724"));
  EXPECT_THAT(Drugs("potassium CHLORIDE 20 mEq in"), ElementsAre("DB00761"));
  EXPECT_THAT(Drugs("CALCIUM"), ElementsAre("DB01373"));
}

TEST_F(DrugNamesTest, MetalThatMayBeAnIngredient_IsNotMatched) {
  for (const char* name :
       {"CALCIUM CARBONATE POTASSIUM", "DILTIAZEM-CALCIUM", "POTASSIUM & SODIUM PHOSPHATES",
        "CALCIUM TARTRATE", "DILTIAZEM CALCIUM", "DILTIAZEM POTASSIUM CHLORIDE"}) {
    EXPECT_EQ(RuleOf(name), Rule::kUnmatched) << name;
  }
}

TEST_F(DrugNamesTest, Insulins_StayApart) {
  EXPECT_THAT(Drugs("INSULIN ASPART 100 UNIT/ML SC SOLN"), ElementsAre("DB01306"));
  EXPECT_THAT(Drugs("INSULIN-LISPRO *UNIT* INJ"), ElementsAre("DB00046"));
  EXPECT_THAT(Drugs("INSULIN (REGULAR) 100 UNITS in 1"), ElementsAre("DB00030"));
  EXPECT_EQ(RuleOf("INSULIN"), Rule::kUnmatched);
}

TEST_F(DrugNamesTest, JoinedDrugs_AreIngredients) {
  for (const char* name : {"HYDROCODONE-ACETAMINOPHEN 5-325 MG PO TABS", "HYDROCODONE/APAP",
                           "HYDROCODONE 5 MG-ACETAMINOPHEN 325 MG TABLET", "hydrocodone & apap",
                           "hydrocodone with acetaminophen", "hydrocodone, acetaminophen"}) {
    EXPECT_EQ(RuleOf(name), Rule::kCombination) << name;
    EXPECT_THAT(Drugs(name), ElementsAre("DB00956", "DB00316")) << name;
  }
  EXPECT_THAT(Drugs("PIPERACILLIN SOD-TAZOBACTAM SO 3-0.375 G IV SOLR"),
              ElementsAre("DB00319", "DB01606"));
  EXPECT_THAT(Drugs("hydrocodone-acetaminophen (NORCO) tab"), ElementsAre("DB00956", "DB00316"));
}

TEST_F(DrugNamesTest, DrugsThatNothingJoins_AreNotMatched) {
  for (const char* name : {"FUROSEMIDE DILTIAZEM", "FUROSEMIDE 5 MG DILTIAZEM 5 MG",
                           "acetaminophen (NORCO)", "furosemide (DILTIAZEM)", "LASIX OR TYLENOL"}) {
    EXPECT_EQ(RuleOf(name), Rule::kUnmatched) << name;
  }
}

TEST_F(DrugNamesTest, CarrierOfADrug_IsNotCounted) {
  for (const char* name :
       {"POTASSIUM CHLORIDE 20 MEQ IN NS", "KCL IN DEXTROSE-NACL 20-5-0.45 MEQ/L-%-% IV SOLN",
        "DEXTROSE 5%-NACL 0.45%-KCL 20MEQ LVP", "KCL 40 MEQ/100ML STERILE WATER BAG",
        "POTASSIUM CHLORIDE SODIUM CHLORIDE 0.9 % 100 ML", "KCL IN LACTATED RINGER'S"}) {
    EXPECT_EQ(RuleOf(name), Rule::kMixture) << name;
    EXPECT_THAT(Drugs(name), ElementsAre("DB00761")) << name;
  }
}

TEST_F(DrugNamesTest, CarriersAlone_AreDrugs) {
  EXPECT_THAT(Drugs("0.9%NaCl 1,000 mL"), ElementsAre("DB09153"));
  EXPECT_THAT(Drugs("sodium chloride 0.9 % flush 10 mL"), ElementsAre("DB09153"));
  EXPECT_THAT(Drugs("DEXTROSE 5% IN WATER (D5W) IV : 1000 ML BAG"), ElementsAre("DB01914"));
  EXPECT_THAT(Drugs("DEXTROSE-NACL 5-0.45 % IV SOLN"), ElementsAre("DB01914", "DB09153"));
}

TEST_F(DrugNamesTest, FluidFlushAndConsult_AreNoDrug) {
  for (const char* name : {"LACTATED RINGER'S 1,000 ML BAG.", "LR 1,000 mL", "Flush 10 ML",
                           "Sterile water", "VANCOMYCIN CONSULT TO PHARMACY"}) {
    EXPECT_EQ(RuleOf(name), Rule::kNoDrug) << name;
    EXPECT_THAT(Drugs(name), IsEmpty()) << name;
  }
}

TEST_F(DrugNamesTest, UnknownWord_IsNotMatched) {
  for (const char* name : {"ACETAMINOPHEN-COD", "TYLENOL COLD", "FUROSEMIDEX", "XFUROSEMIDE",
                           "FUROSEMIDE D", "HYDROCODONE-ACETAM", "Bolus", "PO SOLN", "100 MG",
                           "ORANGE", "METAMUCIL-ORANGE", "TMP", "ACETATE", "G FUROSEMIDE"}) {
    EXPECT_EQ(RuleOf(name), Rule::kUnmatched) << name;
    EXPECT_THAT(Drugs(name), IsEmpty()) << name;
  }
}

TEST_F(DrugNamesTest, IngredientCutOff_IsNotMatched) {
  for (const char* name : {"HYDROCODONE-", "HYDROCODONE-AC", "HYDROCODONE-A", "HYDROCODONE/",
                           "HYDROCODONE-AP", "HYDROCODONE-PR", "HYDROCODONE WITH"}) {
    EXPECT_EQ(RuleOf(name), Rule::kUnmatched) << name;
  }
  EXPECT_THAT(Drugs("METOPROLOL-XL"), ElementsAre("DB00264"));
  EXPECT_THAT(Drugs("METOPROLOL, TAB"), ElementsAre("DB00264"));
  EXPECT_THAT(Drugs("FUROSEMIDE 40 MG IN 200 ML NS RTU-"), ElementsAre("DB00695"));
}

TEST_F(DrugNamesTest, ContentOfAStrength_IsNoIngredient) {
  EXPECT_THAT(Drugs("IOPAMIDOL 370 MG IODINE/ML"), ElementsAre("DB08947"));
}

TEST_F(DrugNamesTest, LongestSynonym_Wins) {
  EXPECT_THAT(Drugs("TYLENOL #3"), ElementsAre("DB00316", "DB00318"));
  EXPECT_THAT(Drugs("TYLENOL 325 MG"), ElementsAre("DB00316"));
}

TEST_F(DrugNamesTest, SynonymWithoutId_MatchesNone) {
  EXPECT_EQ(RuleOf("ISOSORBIDE 30 MG TAB"), Rule::kUnmatched);
}

TEST(DrugNameMatcher, WrongSynonym_Throws) {
  EXPECT_THAT(
      [] {
        DrugNameMatcher(kNames, {{"lasix", "DB99999"}});
      },
      ThrowsMessage<DataError>(HasSubstr("'lasix' stands for 'DB99999'")));
  EXPECT_THAT(
      [] {
        DrugNameMatcher(kNames, {{"12 %", "DB00316"}});
      },
      ThrowsMessage<DataError>(HasSubstr("'12 %'")));
}

TEST(DrugNameMatcher, NoNames_MatchNothing) {
  EXPECT_EQ(DrugNameMatcher({}, {}).Match("furosemide 20 mg").rule, Rule::kUnmatched);
}

}  // namespace
}  // namespace flame
