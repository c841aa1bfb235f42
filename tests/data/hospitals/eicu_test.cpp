#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/files/atomic_file.h"
#include "tests/data/hospitals/eicu_hospital.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

using EicuTest = EicuHospital;

TEST_F(EicuTest, StaysOfOneHospitalisation_AreOneVisit) {
  const Corpus corpus = PrepareCorpus(options_);
  ASSERT_EQ(corpus.visits.size(), 4u);
  EXPECT_EQ(corpus.visits[0].hadm, 10);
  EXPECT_EQ(corpus.visits[0].subject, 2000000007);
  EXPECT_EQ(corpus.visits[3].subject, 3000000007);
  EXPECT_THAT(corpus.visits[0].drugs, ElementsAre(0, 1)) << "of both stays";
  EXPECT_THAT(corpus.visits[1].drugs, ElementsAre(0)) << "a cancelled order is none";
  EXPECT_THAT(corpus.drugs.codes, ElementsAre("DB1", "DB2")) << "saline carries heparin";
  EXPECT_EQ(corpus.visits[0].age, 90);
  EXPECT_EQ(corpus.visits[3].age, 47);
  EXPECT_EQ(corpus.visits[0].gender, 'F');
  EXPECT_EQ(corpus.visits[3].gender, 'U');
  EXPECT_EQ(corpus.visits[2].year, 2015);
}

// Which of a year's two came first is not told, so neither is the other's previous visit.
TEST_F(EicuTest, VisitsOfOneYear_HaveNoOrder) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_EQ(corpus.visits[1].previous, -1);
  EXPECT_EQ(corpus.visits[2].previous, 1);
}

TEST_F(EicuTest, Codes_OfIcd9WhereThereIsOne) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.diagnoses.codes, ElementsAre("4280", "V4581", "ICD10:E230", "E9802"));
  EXPECT_THAT(corpus.diagnoses.titles,
              ElementsAre("CHF NOS", "CABG", "pituitary: hypopituitarism", "y"));
}

// Treatments tell which drugs were given, which is the answer.
TEST_F(EicuTest, TreatmentsThatAreDrugs_AreNoProcedures) {
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_THAT(corpus.procedures.titles,
              ElementsAre("ventilation and oxygenation: mechanical ventilation"));
}

TEST_F(EicuTest, Funnel_BlankNamesAndRulesAreCounted) {
  const Corpus corpus = PrepareCorpus(options_);
  std::vector<std::string> drugs;
  for (const FunnelStep& step : corpus.funnel) {
    if (step.table == "drugs") drugs.push_back(StrCat(step.rule, " ", step.rows));
    if (step.rule == "prescriptions with a DrugBank id") {
      EXPECT_EQ(step.detail,
                "rules: 'exact name' (3 times), 'mixture, carrier removed', 'not matched', "
                "'strength, form or route removed'; commonest names without: 'BOLUS'");
    }
  }
  drugs.resize(4);
  EXPECT_THAT(drugs, ElementsAre("rows of medication 9", "order cancelled 8", "drugname blank 7",
                                 "orders that name a drug 6"));
}

// Stay 2 is a later unit of the hospitalisation 10: its drugs before admission were given there.
TEST_F(EicuTest, AllergiesAndDrugsBeforeAdmission_OfTheFirstUnitStay) {
  Write("allergy.csv",
        "patientunitstayid,drugname,allergyname\n1,,Penicillins\n1,ASA 81 MG,\n1,asa,\n1,,\n"
        "4,,Latex\n");
  Write("admissionDrug.csv",
        "patientunitstayid,drugname\n1,HEPARIN 1000 UNITS IN NS\n2,ASPIRIN\n5,  ginkgo  tea \n");
  EXPECT_THAT(Failure(), HasSubstr("patient.csv: no column unitvisitnumber"));
  Write("patient.csv",
        "patientunitstayid,patienthealthsystemstayid,uniquepid,gender,age,"
        "hospitaldischargeyear,unitvisitnumber\n"
        "1,10,002-7,Female,> 89,2014,1\n2,10,002-7,Female,> 89,2014,2\n"
        "3,11,002-7,Female,> 89,2014,1\n4,12,002-7,Female,> 89,2015,2\n"
        "5,50,003-7,,47,2015,1\n");
  const Corpus corpus = PrepareCorpus(options_);
  std::vector<std::string> notes;
  for (const Visit& visit : corpus.visits) notes.push_back(visit.note);
  EXPECT_THAT(notes, ElementsAre("Allergies: Penicillins, Aspirin\n"
                                 "Medications on Admission: Heparin",
                                 "", "", "Medications on Admission: ginkgo tea"));
}

TEST_F(EicuTest, StaysThatContradictEachOther_AreRefused) {
  const std::string patients = ReadWholeFile(root() / "patient.csv");
  Write("patient.csv", patients + "1,50,003-7,,47,2015\n");
  EXPECT_THAT(Failure(), HasSubstr("data row 6, line 7, gives the unit stay 1 to another patient"));
  Write("patient.csv", patients + "6,50,003-7,Male,20,2015\n");
  EXPECT_THAT(Failure(),
              HasSubstr("age of data row 6, line 7, is '20'; expected the age of an earlier row"));
  Write("patient.csv", patients + "6,10,002-7,Male,> 89,2014\n");
  EXPECT_THAT(Failure(), HasSubstr("gender of data row 6, line 7, is 'Male'"));
  Write("patient.csv", patients + "6,50,003-7,Male,,2015\n");
  const Corpus corpus = PrepareCorpus(options_);
  EXPECT_EQ(corpus.visits[3].gender, 'M');
  EXPECT_EQ(corpus.visits[3].age, 47) << "a row without an age says nothing";
  options_.visit_order = "id";
  EXPECT_THROW(PrepareCorpus(options_), UsageError);
  options_.visit_order = "time";
  options_.icd10 = "icd9";
  EXPECT_THROW(PrepareCorpus(options_), UsageError);
}

TEST_F(EicuTest, BadValues_SayWhereAndWhat) {
  Write("patient.csv", std::string(kPatientHeader) + "1,10,7,Female,50,2014\n");
  EXPECT_THAT(
      Failure(),
      HasSubstr("uniquepid of data row 1, line 2, is '7'; expected an id such as 002-1039"));
  Write("patient.csv", std::string(kPatientHeader) + "1,10,2-7,Female,50,2014\n");
  EXPECT_THAT(Failure(), HasSubstr("uniquepid of data row 1, line 2, is '2-7'"));
  Write("patient.csv", std::string(kPatientHeader) + "1,10,002-7,Female,50,0\n");
  EXPECT_THAT(Failure(),
              HasSubstr("hospitaldischargeyear of data row 1, line 2, is '0'; expected a year"));
  Write("patient.csv",
        std::string(kPatientHeader) + "1,10,002-7,Female,50,2014\n2,10,002-8,Female,50,2014\n");
  EXPECT_THAT(Failure(),
              HasSubstr("data row 2, line 3, gives the hospitalisation 10 another patient"));
  Write("patient.csv", std::string(kPatientHeader) + "1,10,002-7,Female,50,2014\n");
  EXPECT_THAT(Failure(), HasSubstr("patientunitstayid of data row 2, line 3, is '2'; expected a "
                                   "patientunitstayid of the table patient"));
}

}  // namespace
}  // namespace flame
