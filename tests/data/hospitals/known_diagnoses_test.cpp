#include "data/hospitals/known_diagnoses.h"

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<Visit> ThreeVisits() {
  std::vector<Visit> visits(3);
  for (int32_t i = 0; i < 3; ++i) {
    visits[i].hadm = 10 + i;
    visits[i].previous = i - 1;
  }
  visits[0].diagnoses = {4, 2};
  visits[1].diagnoses = {2, 7};
  visits[2].diagnoses = {9};
  return visits;
}

TEST(UseEarlierDiagnoses, OldestFirst_NeverItsOwn) {
  std::vector<Visit> visits = ThreeVisits();
  UseEarlierDiagnoses(&visits);
  EXPECT_THAT(visits[0].diagnoses, IsEmpty());
  EXPECT_THAT(visits[1].diagnoses, ElementsAre(4, 2));
  EXPECT_THAT(visits[2].diagnoses, ElementsAre(4, 2, 7));
}

TEST(UseEarlierDiagnoses, VisitThatGoesOn_IsLeftOut) {
  std::vector<Visit> visits = ThreeVisits();
  visits[2].previous = 0;
  UseEarlierDiagnoses(&visits);
  EXPECT_THAT(visits[2].diagnoses, ElementsAre(4, 2));
}

// Neither of two visits of one time is the other's previous visit, but both are before the third.
TEST(UseEarlierDiagnoses, AllThatHadEnded_NotTheChainAlone) {
  std::vector<Visit> visits = ThreeVisits();
  visits[1].previous = -1;
  visits[0].discharged = visits[1].discharged = 5;
  visits[2].admitted = 5;
  UseEarlierDiagnoses(&visits);
  EXPECT_THAT(visits[1].diagnoses, IsEmpty());
  EXPECT_THAT(visits[2].diagnoses, ElementsAre(4, 2, 7));
}

TEST(UseDiagnosesOf, RareOnesAndOtherAdmissions_AreLeftOut) {
  std::vector<Visit> visits = ThreeVisits();
  CodeTable table;
  const auto add = [&](int64_t hadm, const char* text) {
    table.rows.push_back({1, hadm, table.codes.IdOf(text), 0});
  };
  add(10, "SEPSIS");
  add(11, "SEPSIS");
  add(11, "FEVER");
  add(99, "FEVER");
  EXPECT_EQ(UseDiagnosesOf(table, 1, &visits), 2);
  EXPECT_THAT(visits[0].diagnoses, ElementsAre(0));
  EXPECT_THAT(visits[1].diagnoses, ElementsAre(0)) << "99 is no visit, so FEVER has one row";
  EXPECT_THAT(visits[2].diagnoses, IsEmpty());
}

TEST_F(PrepareCorpusTest, Diagnoses_OfThreeTimes) {
  const Corpus discharge = PrepareCorpus(options_);
  EXPECT_EQ(discharge.diagnoses_known, "discharge");
  options_.diagnoses = "previous";
  const Corpus previous = PrepareCorpus(options_);
  ASSERT_EQ(previous.visits.size(), discharge.visits.size());
  EXPECT_THAT(previous.visits[0].diagnoses, IsEmpty());
  const std::string& first = discharge.diagnoses.codes[discharge.visits[0].diagnoses[0]];
  EXPECT_EQ(previous.diagnoses.codes[previous.visits[1].diagnoses[0]], first);
  options_.diagnoses = "admission";
  EXPECT_THAT(Failure(), HasSubstr("ADMISSIONS.csv: no column DIAGNOSIS"));
  Write("ADMISSIONS.csv",
        "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DIAGNOSIS\n1,10,2001-01-01,,sepsis;Fever\n"
        "1,11,2000-05-01,,SEPSIS\n2,20,2000-01-01,,\n2,21,2000-06-01,,FEVER\\SEPSIS\n"
        "4,40,2000-01-01,,GOUT\n5,50,2000-02-01,,nan\n");
  const Corpus admission = PrepareCorpus(options_);
  EXPECT_EQ(admission.diagnoses_known, "admission");
  EXPECT_THAT(admission.diagnoses.codes, ElementsAre("SEPSIS", "FEVER"));
  EXPECT_THAT(admission.diagnoses.titles, ElementsAre("SEPSIS", "FEVER"));
  Write("ADMISSIONS.csv",
        "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME,DIAGNOSIS\n1,10,2001-01-01,,sepsis\n"
        "1,11,2000-05-01,,SEPSIS\n2,20,2000-01-01,,\n2,21,2000-06-01,,FEVER\n"
        "4,40,2000-01-01,,GOUT\n5,50,2000-02-01,,nan\n5,50,2000-02-01,,GOUT\n");
  EXPECT_THAT(Failure(), HasSubstr("DIAGNOSIS of data row 7, line 8, is 'GOUT'; expected the "
                                   "DIAGNOSIS of an earlier row"));
}

}  // namespace
}  // namespace flame
