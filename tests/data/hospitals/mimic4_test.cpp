// A hospital of three patients in MIMIC-IV's layout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Mimic4Test : public HospitalFolder {
 protected:
  Mimic4Test() {
    for (const char* folder : {"hosp", "note"}) fs::create_directories(root() / folder);
    Write("hosp/patients.csv",
          "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod\n"
          "1,F,60,2150,2014 - 2016,\n2,M,89,2140,2008 - 2010,\n3,F,20,2100,2017 - 2019,\n");
    Write("hosp/admissions.csv",
          "subject_id,hadm_id,admittime,dischtime\n"
          "1,99,2150-01-01 10:00:00,2150-01-05 10:00:00\n"
          "1,11,2152-01-01 10:00:00,2152-01-05 10:00:00\n"
          "2,20,2144-01-01 00:00:00,2144-01-02 00:00:00\n"
          "3,30,2099-01-01 00:00:00,2099-01-02 00:00:00\n");
    Write("hosp/prescriptions.csv",
          "subject_id,hadm_id,pharmacy_id,drug_type,drug,ndc\n"
          "1,99,1,MAIN,Aspirin,00000000111\n1,11,1,MAIN,Oil,00000000211\n"
          "2,20,1,MAIN,Aspirin,00000000111\n3,30,1,MAIN,Aspirin,00000000111\n"
          "3,30,1,ADDITIVE,Oil,00000000211\n");
    Write("hosp/diagnoses_icd.csv",
          "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
          "1,99,1,V10,9\n1,11,1,V10,10\n2,20,1,i50.9 ,10\n3,30,1,4280,9\n");
    Write("hosp/procedures_icd.csv",
          "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version\n"
          "1,99,1,2150-01-01,3893,9\n1,11,1,2152-01-01,02HV33Z,10\n2,20,1,2144-01-01,3893,9\n"
          "3,30,1,2099-01-01,3893,9\n");
    Write("hosp/d_icd_diagnoses.csv",
          "icd_code,icd_version,long_title\nV10,9,Long of nine\nV10,10,Rider injured\n"
          "I509,10,\"Heart failure, unspecified\"\n");
    Write("note/discharge.csv",
          "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
          "a,1,11,DS,1,,,\"Allergies:\n Sulfa\n\nDischarge Medications:\nWarfarin\n\"\n");
    Write("mappings/ndc9_to_drugbank.csv", "NDC,drugbank_id\n000000001,DB1\n000000002,DB2\n");
    Write("mappings/drugbank_to_name.csv", "drugbank_id,drug_name\nDB1,Aspirin\nDB2,Oil\n");
    Write("mappings/drugbank_to_smiles.csv", "drug_id,smiles\nDB1,CC\nDB2,CO\n");
    Write("mappings/icd9_diagnoses.csv", "ICD9_CODE,SHORT_TITLE\nV10,Short of nine\n4280,CHF\n");
    Write("mappings/icd9_procedures.csv", "ICD9_CODE,SHORT_TITLE\n3893,Venous cath\n");
    Write("mappings/ddi_public.csv", "drug1,drug2\nDB1,DB2\n");
    options_.hospital = "mimic4";
    options_.min_visits = 1;
    options_.min_code_rows = 0;
  }
};

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
  EXPECT_THAT(Failure(), HasSubstr("ICD_VERSION of data row 1 is '11'; expected 9 or 10"));
  Write("hosp/diagnoses_icd.csv",
        "subject_id,hadm_id,seq_num,icd_code,icd_version\n1,99,1,V10,9\n1,11,1,V10,9\n");
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,60,2150,soon\n");
  EXPECT_THAT(Failure(), HasSubstr("ANCHOR_YEAR_GROUP of data row 1 is 'soon'"));
  Write("hosp/patients.csv",
        "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n1,F,-4,2150,2014 - 2016\n");
  EXPECT_THAT(Failure(), HasSubstr("ANCHOR_AGE of data row 1 is '-4'"));
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
    EXPECT_THAT(Failure(), HasSubstr("of data row 1 is '")) << row;
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
