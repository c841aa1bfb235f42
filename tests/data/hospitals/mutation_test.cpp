// Spoils tables in every way that exports and hands do, by seed. A preparation of spoiled tables is
// the right corpus or an error in words that names the table, never a crash or half a corpus.
#include <initializer_list>

#include "base/files/atomic_file.h"
#include "base/log.h"
#include "tests/data/hospitals/eicu_hospital.h"
#include "tests/data/hospitals/mimic4_hospital.h"
#include "tests/data/hospitals/table_mutations.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Equal but for what the mappings' coverage counts.
void ExpectSame(const Corpus& a, const Corpus& b) {
  ASSERT_EQ(a.visits.size(), b.visits.size());
  EXPECT_EQ(a.diagnoses.codes, b.diagnoses.codes);
  EXPECT_EQ(a.procedures.codes, b.procedures.codes);
  EXPECT_EQ(a.drugs.codes, b.drugs.codes);
  for (size_t i = 0; i < a.visits.size(); ++i) {
    EXPECT_EQ(a.visits[i].hadm, b.visits[i].hadm);
    EXPECT_EQ(a.visits[i].drugs, b.visits[i].drugs);
    EXPECT_EQ(a.visits[i].diagnoses, b.visits[i].diagnoses);
    EXPECT_EQ(a.visits[i].age, b.visits[i].age);
    EXPECT_EQ(a.visits[i].note, b.visits[i].note);
  }
}

template <class Hospital>
struct Layout;
template <>
struct Layout<MiniHospital> {
  static constexpr const char* kNotes = "NOTEEVENTS.csv";
  static constexpr std::initializer_list<const char*> kTables = {"patients.csv",
                                                                 "ADMISSIONS.csv",
                                                                 "PRESCRIPTIONS.csv",
                                                                 "DIAGNOSES_ICD.csv",
                                                                 "PROCEDURES_ICD.csv",
                                                                 "D_ICD_PROCEDURES.csv",
                                                                 "ORACLE.csv",
                                                                 "mappings/ndc9_to_drugbank.csv",
                                                                 "mappings/pairs.csv",
                                                                 "mappings/drugbank_to_name.csv",
                                                                 "mappings/icd9_diagnoses.csv"};
};
template <>
struct Layout<Mimic4Hospital> {
  static constexpr const char* kNotes = "note/discharge.csv";
  static constexpr std::initializer_list<const char*> kTables = {
      "hosp/patients.csv",       "hosp/admissions.csv",         "hosp/prescriptions.csv",
      "hosp/diagnoses_icd.csv",  "hosp/procedures_icd.csv",     "hosp/d_icd_diagnoses.csv",
      "mappings/ddi_public.csv", "mappings/icd9_procedures.csv"};
};
template <>
struct Layout<EicuHospital> {
  static constexpr const char* kNotes = nullptr;
  static constexpr std::initializer_list<const char*> kTables = {
      "patient.csv",   "medication.csv", "diagnosis.csv",
      "treatment.csv", "synonyms.csv",   "mappings/drugbank_to_name.csv"};
};

template <class Hospital>
class MutationTest : public Hospital {
 protected:
  void SetUp() override { InitLogging(LogLevel::kError, -1); }
  void TearDown() override { InitLogging(LogLevel::kInfo, -1); }

  std::string Table(const std::string& name) { return ReadWholeFile(this->root() / name); }

  // Prepares the spoiled hospital. A corpus must be whole; an error must name a table, a column or
  // a step.
  void PrepareOrFail(const std::string& what) {
    try {
      const Corpus corpus = PrepareCorpus(this->options_);
      const TemporaryFolder folder;
      WriteCorpus(corpus, folder / "corpus.h5");
      EXPECT_EQ(ReadCorpus(folder / "corpus.h5").visits.size(), corpus.visits.size()) << what;
      for (const Visit& visit : corpus.visits) {
        EXPECT_FALSE(visit.drugs.empty() || visit.diagnoses.empty() || visit.procedures.empty())
            << what;
      }
    } catch (const Error& error) {
      const std::string message = error.what();
      const bool named = message.find(".csv") != std::string::npos ||
                         message.find("no patient left after the step") != std::string::npos ||
                         message.find("nothing of this hospital") != std::string::npos ||
                         message.find("no table") != std::string::npos;
      EXPECT_TRUE(named) << what << ": " << message;
    } catch (const std::exception& error) {
      ADD_FAILURE() << what << ": " << error.what();
    }
  }
};

using Hospitals = testing::Types<MiniHospital, Mimic4Hospital, EicuHospital>;
TYPED_TEST_SUITE(MutationTest, Hospitals);

TYPED_TEST(MutationTest, HarmlessChanges_SameCorpus) {
  const Corpus whole = PrepareCorpus(this->options_);
  Random random(7);
  for (const std::string table : Layout<TypeParam>::kTables) {
    const std::string text = this->Table(table);
    for (size_t m = 0; m < std::size(kHarmless); ++m) {
      SCOPED_TRACE(StrCat(table, ", change ", m));
      this->Write(table, kHarmless[m](random, text));
      ExpectSame(PrepareCorpus(this->options_), whole);
    }
    this->Write(table, text);
  }
}

TYPED_TEST(MutationTest, HarmfulChanges_WholeCorpusOrAnErrorThatNamesTheTable) {
  Random random(11);
  for (int round = 0; round < 6; ++round) {
    for (const std::string table : Layout<TypeParam>::kTables) {
      const std::string text = this->Table(table);
      for (size_t m = 0; m < std::size(kHarmful); ++m) {
        this->Write(table, kHarmful[m](random, text));
        this->PrepareOrFail(StrCat(table, ", change ", m, ", round ", round));
      }
      this->Write(table, text);
    }
  }
}

TYPED_TEST(MutationTest, TextsOfAnyBytes_NeverCrash) {
  Random random(13);
  std::vector<std::string> tables = {Layout<TypeParam>::kTables.begin(),
                                     Layout<TypeParam>::kTables.end()};
  if (Layout<TypeParam>::kNotes != nullptr) tables = {Layout<TypeParam>::kNotes};
  for (int round = 0; round < 200; ++round) {
    const std::string& table = tables[Below(random, tables.size())];
    const std::string text = this->Table(table);
    std::string spoiled = text;
    for (int i = 0; i < 3; ++i) spoiled = SpoiledText(random, spoiled);
    this->Write(table, spoiled);
    this->PrepareOrFail(StrCat(table, ", round ", round));
    this->Write(table, text);
  }
}

using MimicMutationTest = MiniHospital;

// The reader holds one row at a time, up to a limit.
TEST_F(MimicMutationTest, RowOfSeventyMegabytes_IsAnErrorThatNamesTheTable) {
  Write("NOTEEVENTS.csv",
        "HADM_ID,CATEGORY,ISERROR,TEXT\n10,Nursing,,\"" + std::string(70 << 20, 'x') + "\"\n");
  EXPECT_THAT(Failure(), testing::HasSubstr("NOTEEVENTS.csv: data row 1 is longer than 64 MB"));
}

}  // namespace
}  // namespace flame
