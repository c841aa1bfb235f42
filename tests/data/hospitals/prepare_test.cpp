#include "data/hospitals/prepare.h"

#include "base/files/atomic_file.h"
#include "paths.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<int64_t> Admissions(const Corpus& corpus) {
  std::vector<int64_t> hadms;
  for (const Visit& visit : corpus.visits) hadms.push_back(visit.hadm);
  return hadms;
}

// Steps 1 and 2 leave 8 visits of patients 1, 2, 4, 5 (patient 3 has one admission, patient 6 has
// prescriptions of one). Step 4 ranks DB1 (7 rows), DB2, DB3 (2), then DB4 before DB5 (1 each, tie
// by id); step 5 drops DB4, which has no structure. Step 7, round 1: visit 41 has no procedure; V10
// and E999 have one row each, so visit 51 has no diagnosis left. Round 2: without visit 51,
// procedure 9604 has one row, of visit 40, which keeps its other procedure.
TEST_F(PrepareCorpusTest, MiniHospital_EveryFieldAsByHand) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(Admissions(corpus), ElementsAre(11, 10, 20, 21, 40, 50));
  EXPECT_EQ(corpus.num_patients, 4);
  EXPECT_EQ(corpus.hospital, "mimic3");
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("4280", "0389"));
  EXPECT_THAT(corpus.procedures.codes, ElementsAre("3893", "0159"));
  EXPECT_THAT(corpus.drugs.codes, ElementsAre("DB2", "DB3", "DB1"));

  const Visit& second = corpus.visits[1];
  EXPECT_EQ(second.subject, 1);
  EXPECT_EQ(second.patient, 0);
  EXPECT_EQ(second.previous, 0);
  EXPECT_EQ(second.age, 71);
  EXPECT_EQ(second.gender, 'F');
  EXPECT_THAT(second.diagnoses, ElementsAre(1, 0));
  EXPECT_THAT(second.procedures, ElementsAre(1));
  EXPECT_THAT(second.drugs, ElementsAre(2));
  EXPECT_THAT(corpus.visits[0].drugs, ElementsAre(0, 1));
  EXPECT_EQ(corpus.visits[2].previous, -1);
  EXPECT_THAT(corpus.visits[2].diagnoses, ElementsAre(1)) << "a row without SEQ_NUM is dropped";
  EXPECT_EQ(corpus.visits[2].age, 90) << "300 years are capped";
  EXPECT_THAT(corpus.visits[2].drugs, ElementsAre(2)) << "two names of one drug are one drug";
  EXPECT_THAT(corpus.visits[4].procedures, ElementsAre(0));
  EXPECT_EQ(corpus.visits[5].gender, 'U');
  EXPECT_THAT(corpus.visits[5].drugs, ElementsAre(2));
}

TEST_F(PrepareCorpusTest, Notes_FirstGoodDischargeSummaryOnly) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_EQ(corpus.visits[1].note, "Allergies: Penicillin");
  EXPECT_EQ(corpus.visits[0].note, "");
}

TEST_F(PrepareCorpusTest, Oracle_JoinedByAdmission) {
  EXPECT_FLOAT_EQ(PrepareCorpus(options_).visits[3].oracle_list, -1)
      << "it is of all drugs, and DB4 has no structure";
  Write("mappings/drugbank_to_smiles.csv",
        Replaced(ReadWholeFile(root() / "mappings/drugbank_to_smiles.csv"), "DB4,", "DB4,CC"));
  options_.top_drugs = 201;
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_FLOAT_EQ(corpus.visits[3].oracle_list, 0.75f);
  EXPECT_FLOAT_EQ(corpus.visits[3].oracle_threshold, 0.5f);
  EXPECT_FLOAT_EQ(corpus.visits[0].oracle_list, -1);
  std::filesystem::remove(root() / "ORACLE.csv");
  EXPECT_FLOAT_EQ(PrepareCorpus(options_).visits[3].oracle_list, -1);
}

TEST_F(PrepareCorpusTest, Titles_ExactCodeBeforeNumberBeforeCode) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.diagnoses.titles, ElementsAre("4280", "Sepsis"));
  EXPECT_THAT(corpus.procedures.titles, ElementsAre("Venous cath NEC", "Brain excision"));
  std::filesystem::remove(root() / "D_ICD_PROCEDURES.csv");
  EXPECT_THAT(PrepareCorpus(options_).procedures.titles,
              ElementsAre("Venous cath", "Eye muscle tendons"));
}

TEST_F(PrepareCorpusTest, DrugNames_NoTwoMatchEachOther) {
  EXPECT_THAT(PrepareCorpus(options_).drugs.titles,
              ElementsAre("Alpha-One", "alpha one (DB3)", "Aspirin"));
}

TEST_F(PrepareCorpusTest, Ddi_PairsOfTheChosenFile) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_TRUE(corpus.ddi.Harmful(0, 2));
  EXPECT_TRUE(corpus.ddi.Harmful(2, 0));
  EXPECT_FALSE(corpus.ddi.Harmful(0, 1));
  EXPECT_NEAR(corpus.ddi.Rate({0, 1, 2}), 1.0 / 3, 1e-12);
  EXPECT_EQ(corpus.ddi.Rate({0}), 0);
}

TEST_F(PrepareCorpusTest, VisitOrderId_AuthorsOrder) {
  options_.visit_order = "id";
  EXPECT_THAT(Admissions(PrepareCorpus(options_)), ElementsAre(10, 11, 20, 21, 40, 50));
}

TEST_F(PrepareCorpusTest, Split_ByPosition) {
  Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.VisitsOf(Split::kTrain), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(corpus.VisitsOf(Split::kValidation), ElementsAre(4));
  EXPECT_THAT(corpus.VisitsOf(Split::kTest), ElementsAre(5));
  options_.split = {1, 0, 1};
  corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.VisitsOf(Split::kTrain), ElementsAre(0, 1, 2));
  EXPECT_THAT(corpus.VisitsOf(Split::kValidation), ElementsAre());
}

TEST_F(PrepareCorpusTest, MinVisitsOne_KeepsPatientWithOneVisit) {
  options_.min_visits = 1;
  const Corpus corpus = PrepareCorpus(options_);
  // Visit 30 makes V10 a code of two rows, so visits 30 and 50 have it.
  EXPECT_THAT(Admissions(corpus), ElementsAre(11, 10, 20, 21, 30, 40, 50));
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("4280", "0389", "V10"));
}

// All visits have all three kinds of codes at first, so round 1 only drops codes. Visit 51 thereby
// loses its only diagnosis and must still be dropped.
TEST_F(PrepareCorpusTest, CodesDropped_VisitsSelectedAgain) {
  Write("DIAGNOSES_ICD.csv",
        "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,10,1,0389\n1,11,1,0389\n2,20,1,0389\n"
        "2,21,1,0389\n4,40,1,0389\n4,41,1,0389\n5,50,1,0389\n5,51,1,E999\n");
  Write("PROCEDURES_ICD.csv",
        "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,10,1,3893\n1,11,1,3893\n2,20,1,3893\n"
        "2,21,1,3893\n4,40,1,3893\n4,41,1,3893\n5,50,1,3893\n5,51,1,3893\n");
  EXPECT_THAT(Admissions(PrepareCorpus(options_)), ElementsAre(11, 10, 20, 21, 40, 41, 50));
}

TEST_F(PrepareCorpusTest, Funnel_EveryRuleWithItsRows) {
  std::vector<std::string> drugs;
  for (const FunnelStep& step : PrepareCorpus(options_).funnel) {
    if (step.table == "drugs") drugs.push_back(StrCat(step.rule, " ", step.rows, " ", step.visits));
  }
  EXPECT_THAT(drugs,
              ElementsAre("rows of PRESCRIPTIONS 18 -1", "DRUG_TYPE other than MAIN 17 -1",
                          "NDC missing or 0 15 -1", "DRUG missing 14 -1",
                          "main prescriptions with an NDC 13 10",  // one row was there twice
                          "patients with at least 2 visits 11 8",
                          "prescriptions with a DrugBank id 13 8",  // Combo is two drugs, twice
                          "the 4 most frequent drugs 12 8", "drugs with a structure 11 8",
                          "visits with diagnoses, procedures and drugs (round 1) 10 7",
                          testing::HasSubstr("(round 2)"), testing::HasSubstr("(round 3)")));
}

TEST_F(PrepareCorpusTest, NoPatientLeft_NamesStepAndCounts) {
  options_.min_visits = 3;
  EXPECT_THAT(
      Failure(),
      AllOf(HasSubstr("no patient left after the step 'patients with at least 3 visits'"),
            HasSubstr("main prescriptions with an NDC: 13 rows of 10 visits of 6 patients")));
  options_.min_visits = 2;
  options_.min_code_rows = 100;
  EXPECT_THAT(
      Failure(),
      AllOf(HasSubstr("after the step 'diagnosis codes with more than 100 rows (round 1)'"),
            HasSubstr("patients with at least 2 visits: 11 rows of 8 visits of 4 patients"),
            HasSubstr("prescriptions with a DrugBank id: 13 rows of 8 visits of 4 patients"),
            HasSubstr("the 4 most frequent drugs: 12 rows of 8 visits of 4 patients"),
            HasSubstr("drugs with a structure: 11 rows of 8 visits of 4 patients"),
            HasSubstr("procedures and drugs (round 1): 10 rows of 7 visits of 4 patients")));
}

TEST_F(PrepareCorpusTest, MissingTable_SaysWhatWasLookedFor) {
  std::filesystem::remove(root() / "PRESCRIPTIONS.csv");
  EXPECT_EQ(Failure(), "no table PRESCRIPTIONS in " + root().string() +
                           ": looked for PRESCRIPTIONS.csv and PRESCRIPTIONS.csv.gz, in upper or "
                           "lower case");
}

TEST_F(PrepareCorpusTest, MissingFolder_NamesIt) {
  options_.root = root() / "nowhere";
  options_.mappings = root() / "mappings";
  EXPECT_THAT(Failure(), HasSubstr("nowhere' is not a folder; expected one with ADMISSIONS"));
  options_.root.clear();
  EXPECT_THROW(PrepareCorpus(options_), UsageError);
}

TEST_F(PrepareCorpusTest, EmptyTable_FailsUnlessNotes) {
  Write("NOTEEVENTS.csv", "HADM_ID,CATEGORY,DESCRIPTION,ISERROR,TEXT\n");
  EXPECT_EQ(PrepareCorpus(options_).visits[1].note, "");
  Write("ADMISSIONS.csv", "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME\n");
  EXPECT_THAT(Failure(), HasSubstr("ADMISSIONS.csv: no rows below the header"));
}

TEST_F(PrepareCorpusTest, BadValues_SayWhereAndWhat) {
  const std::string header = "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME\n";
  Write("ADMISSIONS.csv", header + "1,10,2001-01-01 10:00:00,\n1,x,2000-05-01 09:00:00,\n");
  EXPECT_THAT(Failure(), HasSubstr("HADM_ID of data row 2, line 3, is 'x'; expected an integer"));
  Write("ADMISSIONS.csv", header + "1,10,2001-13-01 10:00:00,\n");
  EXPECT_THAT(Failure(),
              HasSubstr("ADMITTIME of data row 1, line 2, is '2001-13-01 10:00:00'; expected a "
                        "time such as 2164-10-23 21:09:00"));
  Write("ADMISSIONS.csv", header + "1,10,2001-01-01 10:00:00,\n");
  EXPECT_THAT(Failure(), HasSubstr("no ADMITTIME of HADM_ID 11"));
}

TEST_F(PrepareCorpusTest, BadBirth_Fails) {
  Write("patients.csv", "SUBJECT_ID,GENDER,DOB\n1,F,2100-01-01 00:00:00\n");
  EXPECT_THAT(Failure(), HasSubstr("before the birth of SUBJECT_ID 1"));
  Write("patients.csv", "SUBJECT_ID,GENDER,DOB\n1,F,unknown\n");
  EXPECT_THAT(Failure(), HasSubstr("DOB of data row 1, line 2, is 'unknown'; expected a time"));
  Write("patients.csv", "SUBJECT_ID,GENDER,DOB\n9,F,2000-01-01 00:00:00\n");
  EXPECT_THAT(Failure(), HasSubstr("patients.csv: no SUBJECT_ID 1"));
}

TEST_F(PrepareCorpusTest, AdmissionOfTwoPatients_IsRefusedInEveryTable) {
  const std::string codes = "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,10,1,0389\n2,10,1,0389\n";
  for (const char* stem : {"DIAGNOSES_ICD", "PROCEDURES_ICD"}) {
    const std::string before = ReadWholeFile(root() / StrCat(stem, ".csv"));
    Write(StrCat(stem, ".csv"), codes);
    EXPECT_THAT(Failure(),
                AllOf(HasSubstr(stem), HasSubstr("data row 2, line 3, gives HADM_ID 10 to "
                                                 "SUBJECT_ID 2, ADMISSIONS to 1")));
    Write(StrCat(stem, ".csv"), before);
  }
  Write("PRESCRIPTIONS.csv",
        "SUBJECT_ID,HADM_ID,DRUG_TYPE,DRUG,NDC\n2,10,MAIN,Aspirin,00000000111\n");
  EXPECT_THAT(Failure(), HasSubstr("PRESCRIPTIONS.csv: data row 1, line 2, gives HADM_ID 10"));
}

TEST_F(PrepareCorpusTest, RowsThatContradictEachOther_AreRefused) {
  const std::string admissions = ReadWholeFile(root() / "ADMISSIONS.csv");
  Write("ADMISSIONS.csv", admissions + "1,10,2001-01-01 10:00:00,2001-01-05 10:00:00\n");
  EXPECT_EQ(PrepareCorpus(options_).visits.size(), 6u) << "the same row twice says one thing";
  for (const char* row :
       {"1,10,2001-01-02 10:00:00,2001-01-05 10:00:00\n", "1,10,2001-01-01 10:00:00,\n",
        "2,10,2001-01-01 10:00:00,2001-01-05 10:00:00\n"}) {
    Write("ADMISSIONS.csv", admissions + row);
    EXPECT_THAT(Failure(), HasSubstr("data row 12, line 13, gives HADM_ID 10 another")) << row;
  }
  Write("ADMISSIONS.csv", admissions);
  Write("patients.csv", "SUBJECT_ID,GENDER,DOB\n1,F,1930-03-05\n1,F,1931-03-05\n");
  EXPECT_THAT(Failure(), HasSubstr("data row 2, line 3, gives SUBJECT_ID 1 another GENDER or DOB"));
}

// Admission 11 of patient 1 is the earlier one; it ends after 10 begins.
TEST_F(PrepareCorpusTest, VisitThatGoesOn_IsNoPreviousVisit) {
  std::string admissions = ReadWholeFile(root() / "ADMISSIONS.csv");
  const std::string ends = "2000-05-03 10:00:00";
  admissions.replace(admissions.find(ends), ends.size(), "2001-01-01 10:00:01");
  Write("ADMISSIONS.csv", admissions);
  EXPECT_EQ(PrepareCorpus(options_).visits[1].previous, -1);
  options_.visit_order = "id";
  EXPECT_EQ(PrepareCorpus(options_).visits[1].previous, 0) << "as the authors";
  admissions.replace(admissions.find("2001-01-01 10:00:01"), ends.size(), "2001-01-01 10:00:00");
  Write("ADMISSIONS.csv", admissions);
  options_.visit_order = "time";
  EXPECT_EQ(PrepareCorpus(options_).visits[1].previous, 0) << "it ends as the next begins";
}

TEST_F(PrepareCorpusTest, TimesWithoutPadding_KeepTheOrder) {
  Write("ADMISSIONS.csv",
        "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME\n1,10,2000-10-1 9:00,\n1,11,2000-9-30 10:00,\n"
        "2,20,2000-1-1 0:00,\n2,21,2000-6-1 0:00,\n4,40,2000-1-1 0:00,\n4,41,2001-1-1 0:00,\n"
        "5,50,2000-2-1 0:00,\n5,51,2001-1-1 0:00,\n");
  EXPECT_THAT(Admissions(PrepareCorpus(options_)), ElementsAre(11, 10, 20, 21, 40, 50));
}

TEST_F(PrepareCorpusTest, BadSplit_IsAUsageError) {
  options_.split = {4, 1};
  EXPECT_THROW(PrepareCorpus(options_), UsageError);
  options_.split = {0, 0, 0};
  EXPECT_THAT(Failure(), HasSubstr("3 shares that sum to 0"));
}

TEST_F(PrepareCorpusTest, SplitBy_PatientKeepsPatientsWholeAndTimeIsRefused) {
  options_.split = {1, 1, 1};
  options_.split_by = "patient";
  std::vector<Split> splits;
  for (const Visit& visit : PrepareCorpus(options_).visits) splits.push_back(visit.split);
  // Patients 1 and 2 have two visits each, 4 and 5 one. The cuts are at 4 / 3 = 1 and 8 / 3 = 2.
  EXPECT_THAT(splits, ElementsAre(Split::kTrain, Split::kTrain, Split::kValidation,
                                  Split::kValidation, Split::kTest, Split::kTest));
  options_.split_by = "time";
  EXPECT_THAT(Failure(), HasSubstr("have no year of the calendar"));
}

TEST_F(PrepareCorpusTest, RealDemo_VisitsOfItsReadme) {
  const std::filesystem::path data = FLAME_SOURCE_DIR "/../shared/data";
  if (!std::filesystem::exists(data / "mimic-iii-demo")) {
    GTEST_SKIP() << "the MIMIC-III demo is not in " << data;
  }
  DataOptions options;
  options.root = data / "mimic-iii-demo";
  options.mappings = data / "mappings";
  options.min_visits = 1;
  options.top_drugs = 1000000;
  options.min_code_rows = 0;
  // 107 visits of 82 patients have all three kinds; dropping drugs without a structure removes
  // none.
  EXPECT_EQ(PrepareCorpus(options).visits.size(), 107u);
  EXPECT_EQ(PrepareCorpus(options).num_patients, 82);
  options.min_visits = 2;
  EXPECT_EQ(PrepareCorpus(options).visits.size(), 38u);
  EXPECT_EQ(PrepareCorpus(options).num_patients, 13);
}

}  // namespace
}  // namespace flame
