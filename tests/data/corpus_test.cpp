#include "data/corpus.h"

#include <fstream>

#include "base/files/atomic_file.h"
#include "base/files/hdf5.h"
#include "base/files/seal.h"
#include "tests/data/hospitals/prepare_hospital.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Corpus TwoVisits() {
  Corpus corpus;
  corpus.hospital = "synth";
  corpus.num_patients = 1;
  corpus.diagnoses = {{"0389", "4280"}, {"Sepsis", "CHF"}};
  corpus.procedures = {{"3893"}, {"Venous cath"}};
  corpus.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "Naïve drug", "C"}};
  corpus.ddi = DdiGraph(3);
  corpus.ddi.Add(0, 2);
  corpus.visits = {
      {7, 70, 0, -1, 90, 'F', Split::kTrain, {0, 1}, {}, {2, 0}, "a\nb", 0.5f, 0.25f, 2014, 5, 9},
      {7, 71, 0, 0, 12, 'U', Split::kTest, {}, {0}, {1}, "", -1, -1}};
  corpus.funnel = {{"PRESCRIPTIONS", "rows of the file", 9, -1, -1, ""},
                   {"PRESCRIPTIONS", "top drugs", 4, 2, 1, "commonest: 'Aspirin'"}};
  return corpus;
}

class CorpusFile : public testing::Test {
 protected:
  std::string FailureOf(const Corpus& corpus) {
    WriteCorpus(corpus, path_);
    return MessageOf([&] { ReadCorpus(path_); });
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "corpus.h5";
};

TEST_F(CorpusFile, WrittenAndRead_Same) {
  const Corpus before = TwoVisits();
  WriteCorpus(before, path_);
  const Corpus after = ReadCorpus(path_);
  EXPECT_EQ(after.hospital, "synth");
  EXPECT_EQ(after.num_patients, 1);
  EXPECT_EQ(after.diagnoses.codes, before.diagnoses.codes);
  EXPECT_EQ(after.procedures.titles, before.procedures.titles);
  EXPECT_EQ(after.drugs.titles, before.drugs.titles);
  EXPECT_TRUE(after.ddi.Harmful(2, 0));
  EXPECT_FALSE(after.ddi.Harmful(0, 1));
  ASSERT_EQ(after.visits.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const Visit &a = before.visits[i], &b = after.visits[i];
    EXPECT_EQ(std::tie(a.subject, a.hadm, a.patient, a.previous, a.age, a.gender, a.split),
              std::tie(b.subject, b.hadm, b.patient, b.previous, b.age, b.gender, b.split));
    EXPECT_EQ(std::tie(a.diagnoses, a.procedures, a.drugs, a.note, a.oracle_list),
              std::tie(b.diagnoses, b.procedures, b.drugs, b.note, b.oracle_list));
    EXPECT_EQ(std::tie(a.oracle_threshold, a.year, a.admitted, a.discharged),
              std::tie(b.oracle_threshold, b.year, b.admitted, b.discharged));
  }
  EXPECT_EQ(after.funnel, before.funnel);
}

TEST_F(CorpusFile, EmptyCorpus_WrittenAndRead) {
  WriteCorpus(Corpus(), path_);
  EXPECT_EQ(ReadCorpus(path_).visits.size(), 0u);
}

TEST_F(CorpusFile, VisitsOf_OneSplit) {
  EXPECT_THAT(TwoVisits().VisitsOf(Split::kTest), ElementsAre(1));
  EXPECT_THAT(TwoVisits().VisitsOf(Split::kValidation), ElementsAre());
}

TEST_F(CorpusFile, IndexOutOfRange_NamesFieldAndRow) {
  Corpus corpus = TwoVisits();
  corpus.visits[1].drugs = {3};
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/drugs of row 1 holds index 3; expected 0..2"));
  corpus.visits[1].drugs = {-1};
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/drugs of row 1 holds index -1"));
}

TEST_F(CorpusFile, BadFields_Named) {
  Corpus corpus = TwoVisits();
  corpus.visits[0].previous = 0;
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/previous[0] is 0; expected -1 or an earlier"));
  corpus = TwoVisits();
  corpus.visits[1].patient = 1;
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/patient[1] is 1; expected 0..0"));
  corpus = TwoVisits();
  corpus.visits[1].age = 91;
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/age[1] is 91; expected 0..90"));
  corpus = TwoVisits();
  corpus.visits[1].gender = 'x';
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/gender[1]"));
  corpus = TwoVisits();
  corpus.visits[1].split = static_cast<Split>(3);
  EXPECT_THAT(FailureOf(corpus), HasSubstr("visits/split[1] is 3"));
  corpus = TwoVisits();
  corpus.drugs.titles[1] = "";
  EXPECT_THAT(FailureOf(corpus), HasSubstr("drugs/titles[1] is empty"));
  corpus = TwoVisits();
  corpus.ddi = DdiGraph(2);
  EXPECT_THAT(FailureOf(corpus), HasSubstr("ddi is not a matrix of 3 x 3"));
}

TEST_F(CorpusFile, OtherSchema_SaysBoth) {
  Hdf5File file = Hdf5File::Create(path_);
  file.SetAttribute("schema", std::string("flame.corpus/0"));
  file.Close();
  SealFile(path_);
  EXPECT_EQ(MessageOf([&] { ReadCorpus(path_); }),
            path_.string() + ": schema is 'flame.corpus/0'; this program reads 'flame.corpus/3'");
}

TEST_F(CorpusFile, AnyFlippedByte_Fails) {
  WriteCorpus(TwoVisits(), path_);
  const std::string bytes = ReadWholeFile(path_);
  for (size_t at = 0; at < bytes.size(); at += 997) {
    std::string damaged = bytes;
    damaged[at] ^= 0x10;
    std::ofstream(path_, std::ios::binary) << damaged;
    EXPECT_THROW(ReadCorpus(path_), DataError) << "byte " << at;
  }
}

TEST_F(CorpusFile, Truncated_Fails) {
  WriteCorpus(TwoVisits(), path_);
  const std::string bytes = ReadWholeFile(path_);
  std::ofstream(path_, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  EXPECT_THROW(ReadCorpus(path_), DataError);
  EXPECT_THROW(ReadCorpus(folder_ / "absent.h5"), DataError);
}

}  // namespace
}  // namespace flame
