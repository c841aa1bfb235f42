#include "data/transfer.h"

#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

class TransferTest : public PrepareCorpusTest {};

TEST_F(TransferTest, HospitalOntoItself_IsThatHospital) {
  const Corpus own = PrepareCorpus(options_);
  const Corpus onto = PrepareCorpusOnto(options_, own);
  EXPECT_EQ(onto.diagnoses.codes, own.diagnoses.codes);
  EXPECT_EQ(onto.diagnoses.titles, own.diagnoses.titles);
  EXPECT_EQ(onto.procedures.codes, own.procedures.codes);
  EXPECT_EQ(onto.drugs.codes, own.drugs.codes);
  EXPECT_EQ(onto.diagnoses.num_slots(), own.diagnoses.size());
  ASSERT_EQ(onto.visits.size(), own.visits.size());
  for (size_t i = 0; i < own.visits.size(); ++i) {
    const Visit &a = own.visits[i], &b = onto.visits[i];
    EXPECT_EQ(std::tie(a.subject, a.hadm, a.previous, a.age, a.note, a.diagnoses, a.procedures),
              std::tie(b.subject, b.hadm, b.previous, b.age, b.note, b.diagnoses, b.procedures));
    EXPECT_EQ(a.drugs, b.drugs);
    EXPECT_EQ(b.split, Split::kTest);
  }
  for (int32_t a = 0; a < own.drugs.size(); ++a) {
    for (int32_t b = 0; b < own.drugs.size(); ++b) {
      EXPECT_EQ(onto.ddi.Harmful(a, b), own.ddi.Harmful(a, b));
    }
  }
}

// The other hospital lacks a diagnosis and a drug, and has a diagnosis of its own.
TEST_F(TransferTest, OtherHospital_KnownCodesKeepTheirIndices) {
  const Corpus own = PrepareCorpus(options_);
  Write("DIAGNOSES_ICD.csv",
        "SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,10,1,7777\n1,11,1,7777\n2,20,1,7777\n"
        "2,21,1,4280\n4,40,1,4280\n5,50,1,4280\n");
  const Corpus other = PrepareCorpusOnto(options_, own);
  ASSERT_EQ(other.diagnoses.size(), own.diagnoses.size() + 1);
  EXPECT_EQ(other.diagnoses.codes.back(), "7777");
  EXPECT_EQ(other.diagnoses.num_slots(), own.diagnoses.size());
  EXPECT_EQ(other.diagnoses.titles[0], own.diagnoses.titles[0]);
  for (const Visit& visit : other.visits) {
    for (const int32_t code : visit.diagnoses) EXPECT_LT(code, other.diagnoses.size());
  }
  EXPECT_EQ(other.drugs.codes, own.drugs.codes);
}

TEST_F(TransferTest, NoDrugInCommon_IsAnError) {
  Corpus base = PrepareCorpus(options_);
  for (std::string& code : base.drugs.codes) code += "X";
  EXPECT_THAT(MessageOf([&] { PrepareCorpusOnto(options_, base); }),
              HasSubstr("nothing of this hospital is in that corpus"));
}

TEST_F(TransferTest, OntoTrained_OtherVisitsAreTheTestSplit) {
  const Corpus own = PrepareCorpus(options_);
  const Corpus joint = OntoTrained(own, PrepareCorpusOnto(options_, own), "other.h5");
  const auto n = static_cast<int32_t>(own.visits.size());
  ASSERT_THAT(joint.visits, SizeIs(2 * n));
  EXPECT_EQ(joint.VisitsOf(Split::kTrain), own.VisitsOf(Split::kTrain));
  EXPECT_EQ(joint.VisitsOf(Split::kValidation), own.VisitsOf(Split::kValidation));
  EXPECT_THAT(joint.VisitsOf(Split::kTest), SizeIs(n));
  EXPECT_THAT(joint.VisitsOf(Split::kTest), Each(testing::Ge(n)));
  EXPECT_EQ(joint.num_patients, 2 * own.num_patients);
  for (int32_t i = n; i < 2 * n; ++i) {
    const int32_t previous = own.visits[i - n].previous;
    EXPECT_EQ(joint.visits[i].previous, previous < 0 ? -1 : previous + n);
    EXPECT_EQ(joint.visits[i].patient, own.visits[i - n].patient + own.num_patients);
  }
}

TEST_F(TransferTest, OtherDiagnoses_AreRefused) {
  const Corpus own = PrepareCorpus(options_);
  Corpus other = PrepareCorpusOnto(options_, own);
  other.diagnoses_known = "previous";
  EXPECT_THAT(
      MessageOf([&] { OntoTrained(own, other, "other.h5"); }),
      HasSubstr("its diagnoses are those of previous (data.diagnoses), the run's those of"));
  options_.diagnoses = "previous";
  EXPECT_THROW(PrepareCorpusOnto(options_, own), UsageError);
}

TEST_F(TransferTest, CorpusOfAnotherRun_IsRefused) {
  const Corpus own = PrepareCorpus(options_);
  Corpus other = PrepareCorpusOnto(options_, own);
  std::swap(other.procedures.codes[0], other.procedures.codes[1]);
  EXPECT_THAT(MessageOf([&] { OntoTrained(own, other, "other.h5"); }),
              HasSubstr("other.h5: its procedures do not begin with the"));
  EXPECT_THAT(MessageOf([&] { OntoTrained(own, own, "own.h5"); }),
              HasSubstr("expected a corpus made by `flame prepare --onto` this run"));
}

TEST_F(TransferTest, Years_OtherVisitsAreHistoryAlone) {
  Corpus own = PrepareCorpus(options_);
  Corpus other = PrepareCorpusOnto(options_, own);
  for (size_t i = 0; i < other.visits.size(); ++i) {
    other.visits[i].year = 2010 + static_cast<int32_t>(i);
  }
  const Corpus joint = OntoTrained(own, other, "other.h5", {2011, 2012});
  const auto first = static_cast<int32_t>(own.visits.size());
  EXPECT_THAT(joint.VisitsOf(Split::kTest), ElementsAre(first + 1, first + 2));
  EXPECT_EQ(joint.visits.size(), own.visits.size() + other.visits.size());
  EXPECT_THAT(MessageOf([&] {
                OntoTrained(own, other, "other.h5", {1990, 1991});
              }),
              HasSubstr("other.h5: no visit is of 1990 to 1991; its visits are of the years 2010"));
}

}  // namespace
}  // namespace flame
