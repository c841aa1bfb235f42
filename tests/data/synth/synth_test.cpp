#include "data/synth/synth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <string>

#include "base/error.h"
#include "data/hospitals/prepare.h"
#include "tests/data/synth/synth_hospital.h"

namespace flame {
namespace {

using synth_test::Bytes;
using synth_test::Folder;
using synth_test::ReadRows;
using synth_test::ReadTables;
using synth_test::Section;
using synth_test::SplitNames;
using synth_test::Tables;
namespace fs = std::filesystem;

// One hospital of 500 patients for the tests of its contents.
class SynthHospitalTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new Folder("flame-synth");
    summary_ = WriteSynthHospital(folder_->path(), 500, 11);
    tables_ = new Tables(ReadTables(folder_->path()));
  }
  static void TearDownTestSuite() {
    delete tables_;
    delete folder_;
  }
  static const fs::path& root() { return folder_->path(); }

  static inline Folder* folder_ = nullptr;
  static inline Tables* tables_ = nullptr;
  static inline SynthSummary summary_;
};

std::vector<std::string> FilesOf(const fs::path& root) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), root).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

TEST(WriteSynthHospitalTest, SameSeed_SameBytes) {
  const Folder a("flame-synth-a"), b("flame-synth-b");
  WriteSynthHospital(a.path(), 40, 3);
  WriteSynthHospital(b.path(), 40, 3);
  const auto files = FilesOf(a.path());
  EXPECT_EQ(files.size(), 16u);
  EXPECT_EQ(files, FilesOf(b.path()));
  for (const auto& file : files) EXPECT_EQ(Bytes(a.path() / file), Bytes(b.path() / file)) << file;
}

TEST(WriteSynthHospitalTest, OtherSeed_OtherPatientsSameFacts) {
  const Folder a("flame-synth-a"), b("flame-synth-b");
  WriteSynthHospital(a.path(), 40, 3);
  WriteSynthHospital(b.path(), 40, 4);
  for (const char* file :
       {"PATIENTS.csv", "DIAGNOSES_ICD.csv", "PRESCRIPTIONS.csv", "ORACLE.csv"}) {
    EXPECT_NE(Bytes(a.path() / file), Bytes(b.path() / file)) << file;
  }
  for (const char* file : {"D_ICD_DIAGNOSES.csv", "mappings/ddi_public.csv"}) {
    EXPECT_EQ(Bytes(a.path() / file), Bytes(b.path() / file)) << file;
  }
}

TEST(WriteSynthHospitalTest, LargerHospital_BeginsWithTheSamePatients) {
  const Folder a("flame-synth-a"), b("flame-synth-b");
  WriteSynthHospital(a.path(), 10, 3);
  WriteSynthHospital(b.path(), 20, 3);
  for (const char* file : {"PATIENTS.csv", "PRESCRIPTIONS.csv", "NOTEEVENTS.csv", "ORACLE.csv"}) {
    const std::string small = Bytes(a.path() / file), large = Bytes(b.path() / file);
    EXPECT_LT(small.size(), large.size()) << file;
    EXPECT_EQ(small, large.substr(0, small.size())) << file;
  }
}

// Patients are simulated in blocks of 2,048.
TEST(WriteSynthHospitalTest, SecondBlock_GoesOnWhereTheFirstEnds) {
  const Folder a("flame-synth-a"), b("flame-synth-b");
  WriteSynthHospital(a.path(), 2047, 3);
  WriteSynthHospital(b.path(), 2050, 3);
  const std::string small = Bytes(a.path() / "ORACLE.csv"), large = Bytes(b.path() / "ORACLE.csv");
  EXPECT_EQ(small, large.substr(0, small.size()));
  const std::string patients = Bytes(b.path() / "PATIENTS.csv");
  EXPECT_EQ(std::count(patients.begin(), patients.end(), '\n'), 2051);
}

TEST(WriteSynthHospitalTest, FolderWithFiles_IsRefusedAndKept) {
  const Folder folder("flame-synth-a");
  fs::create_directories(folder.path());
  std::ofstream(folder.path() / "mine.txt") << "kept";
  EXPECT_THROW(WriteSynthHospital(folder.path(), 5, 1), UsageError);
  EXPECT_EQ(Bytes(folder.path() / "mine.txt"), "kept");
}

TEST(WriteSynthHospitalTest, NoPatient_IsRefused) {
  const Folder folder("flame-synth-a");
  EXPECT_THROW(WriteSynthHospital(folder.path(), 0, 1), UsageError);
  EXPECT_FALSE(fs::exists(folder.path()));
}

TEST_F(SynthHospitalTest, Headers_AreThoseOfMimic) {
  EXPECT_THAT(Bytes(root() / "PRESCRIPTIONS.csv"),
              testing::StartsWith("\"ROW_ID\",\"SUBJECT_ID\",\"HADM_ID\",\"ICUSTAY_ID\","
                                  "\"STARTDATE\",\"ENDDATE\",\"DRUG_TYPE\",\"DRUG\","));
  EXPECT_THAT(Bytes(root() / "mappings/icd9_procedures.csv"),
              testing::StartsWith("ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE,CONCISE_TITLE\n"));
}

TEST_F(SynthHospitalTest, Prescriptions_EveryMainRowWithACodeMaps) {
  size_t mapped = 0, without = 0, carriers = 0;
  for (const auto& row : ReadRows(root(), "PRESCRIPTIONS", {"DRUG_TYPE", "DRUG", "NDC"})) {
    if (row[0] == "BASE") {
      ++carriers;
    } else if (row[2].empty() || row[2] == "0") {
      ++without;
    } else {
      ASSERT_EQ(row[2].size(), 11u);
      const std::string key = row[2].substr(0, 9);
      ASSERT_TRUE(tables_->drugbank.count(key)) << key;
      EXPECT_EQ(tables_->generic_name.at(tables_->drugbank.at(key)), row[1]);
      ++mapped;
    }
  }
  EXPECT_GT(mapped, 6u * summary_.visits);
  EXPECT_GT(without, 0u);  // rows that preparation has to drop
  EXPECT_GT(carriers, 0u);
}

TEST_F(SynthHospitalTest, DdiRate_NearTheRealHospitals) {
  std::set<std::pair<std::string, std::string>> harmful;
  for (const auto& row : ReadRows(root() / "mappings", "ddi_public", {"drug1", "drug2"})) {
    const auto& a = tables_->generic_name.at(row[0]);
    const auto& b = tables_->generic_name.at(row[1]);
    harmful.insert(std::minmax(a, b));
  }
  double sum = 0;
  for (const auto& [hadm, drugs] : tables_->drugs) {
    double bad = 0, all = 0;
    for (auto a = drugs.begin(); a != drugs.end(); ++a) {
      for (auto b = std::next(a); b != drugs.end(); ++b, ++all) bad += harmful.count({*a, *b});
    }
    sum += all > 0 ? bad / all : 0;
  }
  const double rate = sum / static_cast<double>(tables_->drugs.size());
  EXPECT_NEAR(rate, summary_.ddi_rate, 1e-12);
  EXPECT_GT(rate, 0.11);
  EXPECT_LT(rate, 0.15);
}

TEST_F(SynthHospitalTest, DischargeMedications_AreTheVisitsDrugs) {
  ASSERT_EQ(tables_->summary.size(), static_cast<size_t>(summary_.visits));
  for (const auto& [hadm, text] : tables_->summary) {
    std::set<std::string> listed;
    for (const auto& line : Section(text, "Discharge Medications:")) {
      listed.insert(line.substr(line.find(' ') + 1));
    }
    EXPECT_EQ(listed, tables_->drugs.at(hadm)) << hadm;
  }
}

TEST_F(SynthHospitalTest, Allergies_AreNeverPrescribed) {
  size_t allergic = 0;
  for (const auto& [hadm, text] : tables_->summary) {
    const auto allergies = SplitNames(Section(text, "Allergies:").at(0));
    allergic += !allergies.count("None known");
    for (const auto& name : allergies) {
      EXPECT_FALSE(tables_->drugs.at(hadm).count(name)) << hadm << " " << name;
    }
  }
  EXPECT_GT(allergic, summary_.visits / 3);
}

TEST_F(SynthHospitalTest, HomeDrugs_AreMostlyContinued) {
  size_t listed = 0, continued = 0;
  for (const auto& [hadm, text] : tables_->summary) {
    for (const auto& name : SplitNames(Section(text, "Medications on Admission:").at(0))) {
      if (name == "None") continue;
      ++listed;
      continued += tables_->drugs.at(hadm).count(name);
    }
  }
  const double share = static_cast<double>(continued) / static_cast<double>(listed);
  EXPECT_GT(share, 0.80);
  EXPECT_LT(share, 0.95);
}

TEST_F(SynthHospitalTest, Summary_WithinTheTargetsOfTheModel) {
  const double visits = static_cast<double>(summary_.visits);
  EXPECT_EQ(summary_.patients, 500);
  EXPECT_EQ(summary_.drugs, 58);
  EXPECT_NEAR(visits / 500, 2.66, 0.15);
  EXPECT_GT(summary_.drugs_per_visit, 6);
  EXPECT_LT(summary_.drugs_per_visit, 9);
  EXPECT_GT(summary_.oracle_list, 0.46);
  EXPECT_LT(summary_.oracle_list, 0.55);
  EXPECT_GT(summary_.oracle_list - summary_.oracle_threshold, 0.07);
  double list = 0, threshold = 0;
  for (const auto& row : ReadRows(root(), "ORACLE", {"ORACLE_LIST", "ORACLE_THRESHOLD"})) {
    list += std::stod(row[0]) / visits;
    threshold += std::stod(row[1]) / visits;
  }
  EXPECT_NEAR(list, summary_.oracle_list, 1e-5);
  EXPECT_NEAR(threshold, summary_.oracle_threshold, 1e-5);
}

TEST_F(SynthHospitalTest, Prepare_KeepsEveryVisitOfPatientsSeenTwice) {
  std::map<std::string, int> admissions;
  for (const auto& row : ReadRows(root(), "ADMISSIONS", {"SUBJECT_ID"})) ++admissions[row[0]];
  size_t expected = 0;
  for (const auto& [subject, count] : admissions) expected += count > 1 ? count : 0;

  DataOptions options;
  options.hospital = "synth";
  options.root = root();
  options.mappings = root() / "mappings";
  const Corpus corpus = PrepareCorpus(options);
  ASSERT_EQ(corpus.visits.size(), expected);
  EXPECT_EQ(corpus.drugs.size(), 58);
  EXPECT_EQ(corpus.diagnoses.size(), 50);
  for (const Visit& visit : corpus.visits) {
    std::set<std::string> drugs;
    for (const int32_t drug : visit.drugs) drugs.insert(corpus.drugs.titles[drug]);
    EXPECT_EQ(drugs, tables_->drugs.at(std::to_string(visit.hadm)));
    EXPECT_GE(visit.oracle_list, 0);
    EXPECT_THAT(visit.note, testing::HasSubstr("Medications on Admission: "));
    EXPECT_THAT(visit.note, testing::Not(testing::HasSubstr("Discharge")));
    EXPECT_THAT(visit.note, testing::HasSubstr(std::to_string(visit.age) + " year old"));
  }
}

}  // namespace
}  // namespace flame
