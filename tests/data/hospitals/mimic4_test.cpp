#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/hospitals/mimic4_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

using Mimic4Test = Mimic4Hospital;

TEST_F(Mimic4Test, VisitsByTime_AgesByAnchor_YearsOfTheCalendar) {
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n"
        "1,F,60,2150,2014 - 2016\n2,M,89,2140,2008 - 2010\n3,F,20,2100,2017 - 2019\n");
  const Corpus corpus = PrepareCorpus(options_);
  std::vector<int64_t> hadm;
  std::vector<int32_t> age, year, previous;
  for (const Visit& visit : corpus.visits) {
    hadm.push_back(visit.hadm);
    age.push_back(visit.age);
    year.push_back(visit.year);
    previous.push_back(visit.previous);
  }
  EXPECT_THAT(hadm, ElementsAre(99, 11, 20, 30)) << "11 is later, though its number is lower";
  EXPECT_THAT(age, ElementsAre(60, 62, 90, 19));
  EXPECT_THAT(year, ElementsAre(2014, 2016, 2012, 2016));
  EXPECT_THAT(previous, ElementsAre(-1, 0, -1, -1));
  EXPECT_EQ(corpus.visits[1].note, "Allergies: Sulfa");
}

TEST_F(Mimic4Test, CodesOfTwoVersions_StayApart) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("V10", "ICD10:V10", "ICD10:I509", "4280"));
  EXPECT_THAT(corpus.diagnoses.titles,
              ElementsAre("Short of nine", "Rider injured", "Heart failure, unspecified", "CHF"));
  EXPECT_THAT(corpus.procedures.codes, ElementsAre("3893", "ICD10:02HV33Z"));
  EXPECT_THAT(corpus.procedures.titles, ElementsAre("Venous cath", "ICD10:02HV33Z"));
}

TEST_F(Mimic4Test, Crosswalk_FirstCodeOfSeveral_OthersStay) {
  options_.icd10 = "icd9";
  EXPECT_THAT(Failure(), HasSubstr("no table icd10_to_icd9_diagnoses"));
  Write("mappings/icd10_to_icd9_diagnoses.csv", "icd10,icd9\nI50.9,4280\nI509,4289\nV10,NoDx\n");
  Write("mappings/icd10_to_icd9_procedures.csv", "icd10,icd9\n02HV33Z,3893\n");
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("V10", "ICD10:V10", "4280"));
  EXPECT_THAT(corpus.procedures.codes, ElementsAre("3893"));
  std::string detail;
  for (const FunnelStep& step : corpus.funnel) {
    if (step.table == "diagnoses" && step.rule == "ICD-10 codes read as ICD-9") {
      detail = step.detail;
    }
  }
  EXPECT_EQ(detail,
            "1 of 2 rows; of 1 with several ICD-9 codes the first was taken; commonest without: "
            "'ICD10:V10'");
}

TEST_F(Mimic4Test, BadValues_SayWhereAndWhat) {
  Write("hosp/diagnoses_icd.csv",
        "subject_id,hadm_id,seq_num,icd_code,icd_version\n1,99,1,V10,11\n");
  EXPECT_THAT(Failure(), HasSubstr("ICD_VERSION of data row 1, line 2, is '11'; expected 9 or 10"));
  Write("hosp/diagnoses_icd.csv",
        "subject_id,hadm_id,seq_num,icd_code,icd_version\n1,99,1,V10,9\n1,11,1,V10,9\n");
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,60,2150,soon\n");
  EXPECT_THAT(Failure(), HasSubstr("ANCHOR_YEAR_GROUP of data row 1, line 2, is 'soon'"));
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,-4,2150,2014 - 2016\n");
  EXPECT_THAT(Failure(), HasSubstr("ANCHOR_AGE of data row 1, line 2, is '-4'"));
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,1,2160,2014 - 2016\n");
  EXPECT_THAT(Failure(), AllOf(HasSubstr("patients.csv: HADM_ID 11"),
                               HasSubstr("8 years before the anchor_year of SUBJECT_ID 1")));
}

TEST_F(Mimic4Test, AnchorsOutOfRange_AreRefused) {
  const std::string header = "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n";
  for (const char* row : {"1,F,4294967340,2150,2014 - 2016\n", "1,F,60,20,2014 - 2016\n",
                          "1,F,60,2150,2016 - 2014\n", "1,F,60,2150,2014\n"}) {
    Write("hosp/patients.csv", header + row);
    EXPECT_THAT(Failure(), HasSubstr("of data row 1, line 2, is '")) << row;
  }
}

TEST_F(Mimic4Test, OrderById_IsRefused) {
  options_.visit_order = "id";
  EXPECT_THROW(PrepareCorpus(options_), UsageError);
  EXPECT_THAT(Failure(), HasSubstr("HADM_IDs of mimic4 are random"));
}

TEST_F(Mimic4Test, WithoutNotes_TheNotesAreEmpty) {
  fs::remove_all(root() / "note");
  EXPECT_EQ(PrepareCorpus(options_).visits[1].note, "");
}

}  // namespace
}  // namespace flame
