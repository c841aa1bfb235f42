// One hospital in the layouts of MIMIC-III, MIMIC-IV and eICU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "base/error.h"
#include "data/hospitals/prepare.h"
#include "data/synth/model.h"
#include "paths.h"
#include "tests/data/synth/synth_hospital.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using synth_test::Bytes;
using synth_test::Folder;
using synth_test::ReadRows;
using synth_test::ReadTables;
using synth_test::Rows;

const fs::path kShipped = fs::path(FLAME_SOURCE_DIR) / "data/synth/hospital";
const fs::path kShared = fs::path(FLAME_SOURCE_DIR) / "../shared/data";

constexpr int64_t kPatients = 200;
constexpr uint64_t kSeed = 5;

class SynthLayoutsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    mimic3_ = new Folder("flame-synth-mimic3");
    mimic4_ = new Folder("flame-synth-mimic4");
    eicu_ = new Folder("flame-synth-eicu");
    WriteSynthHospital(mimic3_->path(), kPatients, kSeed);
    WriteSynthHospital(mimic4_->path(), kPatients, kSeed, {SynthLayout::kMimic4, {}});
    WriteSynthHospital(eicu_->path(), kPatients, kSeed, {SynthLayout::kEicu, {}});
  }
  static void TearDownTestSuite() {
    delete mimic3_;
    delete mimic4_;
    delete eicu_;
  }
  static Corpus Prepare(const std::string& hospital, const Folder& folder,
                        const std::string& icd10) {
    DataOptions options;
    options.hospital = hospital;
    options.root = folder.path();
    options.icd10 = icd10;
    return PrepareCorpus(options);
  }

  static inline Folder *mimic3_ = nullptr, *mimic4_ = nullptr, *eicu_ = nullptr;
};

TEST_F(SynthLayoutsTest, Mimic4_CrosswalkGivesTheCorpusOfMimic3) {
  const Corpus three = Prepare("mimic3", *mimic3_, "keep"),
               four = Prepare("mimic4", *mimic4_, "icd9");
  EXPECT_EQ(three.diagnoses.codes, four.diagnoses.codes);
  EXPECT_EQ(three.procedures.codes, four.procedures.codes);
  EXPECT_EQ(three.drugs.codes, four.drugs.codes);
  EXPECT_EQ(three.diagnoses.titles, four.diagnoses.titles);
  EXPECT_EQ(three.procedures.titles, four.procedures.titles);
  ASSERT_EQ(three.visits.size(), four.visits.size());
  for (size_t i = 0; i < three.visits.size(); ++i) {
    const Visit &a = three.visits[i], &b = four.visits[i];
    EXPECT_EQ(a.subject, b.subject);
    EXPECT_EQ(a.previous, b.previous);
    EXPECT_EQ(a.age, b.age);
    EXPECT_EQ(a.gender, b.gender);
    EXPECT_EQ(a.diagnoses, b.diagnoses);
    EXPECT_EQ(a.procedures, b.procedures);
    EXPECT_EQ(a.drugs, b.drugs);
    EXPECT_EQ(a.note, b.note);
    EXPECT_EQ(a.oracle_list, b.oracle_list);
    EXPECT_EQ(a.oracle_threshold, b.oracle_threshold);
  }
}

TEST_F(SynthLayoutsTest, Mimic4_OneIcdVersionOfAnAdmissionAndBothInUse) {
  std::map<std::string, std::set<std::string>> versions;
  for (const char* stem : {"diagnoses_icd", "procedures_icd"}) {
    for (const auto& row : ReadRows(mimic4_->path() / "hosp", stem, {"hadm_id", "icd_version"})) {
      versions[row[0]].insert(row[1]);
    }
  }
  size_t ten = 0;
  for (const auto& [hadm, used] : versions) {
    ASSERT_EQ(used.size(), 1u) << hadm;
    ten += used.count("10");
  }
  EXPECT_GT(ten, versions.size() / 4);
  EXPECT_LT(ten, versions.size() / 2);
}

TEST_F(SynthLayoutsTest, Mimic4_YearsAreThoseOfTheGroupAndLater) {
  std::set<int32_t> years;
  for (const Visit& visit : Prepare("mimic4", *mimic4_, "keep").visits) years.insert(visit.year);
  EXPECT_EQ(*years.begin(), 2008);
  EXPECT_GE(*years.rbegin(), 2017);
  EXPECT_LE(*years.rbegin(), 2020);
}

TEST_F(SynthLayoutsTest, Mimic4_SplitByTimeTestsOnTheLastYears) {
  DataOptions options;
  options.hospital = "mimic4";
  options.root = mimic4_->path();
  options.split_by = "time";
  const Corpus corpus = PrepareCorpus(options);
  int32_t last_train = 0, first_test = 9999;
  for (const Visit& visit : corpus.visits) {
    if (visit.split == Split::kTrain) last_train = std::max(last_train, visit.year);
    if (visit.split == Split::kTest) first_test = std::min(first_test, visit.year);
  }
  EXPECT_LE(last_train, first_test);
  const auto n = static_cast<int64_t>(corpus.visits.size());
  EXPECT_EQ(static_cast<int64_t>(corpus.VisitsOf(Split::kTrain).size()), n * 4 / 6);
}

TEST_F(SynthLayoutsTest, Mimic4_AdmissionIdsTellNoOrder) {
  size_t later = 0, pairs = 0;
  std::set<std::string> ids;
  std::pair<std::string, std::string> last;
  for (const auto& row :
       ReadRows(mimic4_->path() / "hosp", "admissions", {"subject_id", "hadm_id"})) {
    EXPECT_EQ(row[1].size(), 8u);
    EXPECT_TRUE(ids.insert(row[1]).second);
    if (row[0] == last.first) {
      ++pairs;
      later += row[1] > last.second;
    }
    last = {row[0], row[1]};
  }
  EXPECT_GT(later, pairs / 3);
  EXPECT_LT(later, 2 * pairs / 3);
}

std::string HeaderOf(const fs::path& path) {
  const std::string text = Bytes(path);
  return text.substr(0, text.find('\n'));
}

TEST_F(SynthLayoutsTest, Eicu_HeadersAreThoseOfTheDemo) {
  if (!fs::exists(kShared / "eicu-demo")) GTEST_SKIP() << "needs the eICU demo in " << kShared;
  for (const char* file :
       {"patient.csv", "medication.csv", "diagnosis.csv", "treatment.csv", "admissionDx.csv"}) {
    EXPECT_EQ(HeaderOf(eicu_->path() / file), HeaderOf(kShared / "eicu-demo" / file)) << file;
  }
}

// Returns the hospitalisation of each unit stay.
std::map<std::string, std::string> StayOfUnit(const fs::path& eicu) {
  std::map<std::string, std::string> stays;
  for (const auto& row :
       ReadRows(eicu, "patient", {"patientunitstayid", "patienthealthsystemstayid"})) {
    EXPECT_TRUE(stays.emplace(row[0], row[1]).second) << "unit stay twice: " << row[0];
  }
  return stays;
}

// A visit of the other layout, by HADM_ID.
const Visit& VisitOf(const Corpus& corpus, int64_t hadm) {
  const auto found = std::find_if(corpus.visits.begin(), corpus.visits.end(),
                                  [&](const Visit& visit) { return visit.hadm == hadm; });
  if (found == corpus.visits.end()) throw DataError("no visit ", hadm);
  return *found;
}

std::set<std::string> CodesOf(const Vocabulary& vocabulary, const std::vector<int32_t>& list) {
  std::set<std::string> codes;
  for (const int32_t index : list) codes.insert(vocabulary.codes[index]);
  return codes;
}

TEST_F(SynthLayoutsTest, Eicu_PrepareGivesTheVisitsOfMimic3) {
  std::map<std::string, std::string> path;
  for (const SynthCode& code : LoadSynthModel(kShipped).procedures) path[code.code] = code.path;
  const Corpus three = Prepare("mimic3", *mimic3_, "keep"), eicu = Prepare("eicu", *eicu_, "keep");
  EXPECT_EQ(three.num_patients, eicu.num_patients);
  ASSERT_EQ(three.visits.size(), eicu.visits.size());
  EXPECT_EQ(three.drugs.size(), eicu.drugs.size());
  for (const Visit& a : three.visits) {
    const Visit& b = VisitOf(eicu, a.hadm);
    EXPECT_EQ(CodesOf(three.drugs, a.drugs), CodesOf(eicu.drugs, b.drugs));
    EXPECT_EQ(CodesOf(three.diagnoses, a.diagnoses), CodesOf(eicu.diagnoses, b.diagnoses));
    std::set<std::string> procedures;
    for (const std::string& code : CodesOf(three.procedures, a.procedures)) {
      procedures.insert(path.at(code));
    }
    EXPECT_EQ(procedures, CodesOf(eicu.procedures, b.procedures));
    EXPECT_EQ(a.gender, b.gender);
    EXPECT_EQ(a.age >= 87 ? 90 : a.age, b.age);
    EXPECT_EQ(a.oracle_list, b.oracle_list);
    EXPECT_GE(b.year, 2008);
  }
}

TEST_F(SynthLayoutsTest, Eicu_NamedOrdersThatWereNotCancelledAreTheDrugs) {
  std::map<std::string, std::string> generic;  // by name as written
  for (const SynthDrug& drug : LoadSynthModel(kShipped).drugs) {
    for (const std::string& written : drug.written) {
      EXPECT_TRUE(generic.emplace(written, drug.name).second) << written;
    }
  }
  const auto stays = StayOfUnit(eicu_->path());
  std::map<std::string, std::set<std::string>> drugs;
  size_t blank = 0, mixtures = 0, all = 0;
  for (const auto& row :
       ReadRows(eicu_->path(), "medication",
                {"patientunitstayid", "drugname", "drugordercancelled", "drugivadmixture"})) {
    ++all;
    blank += row[1].empty();
    mixtures += row[3] == "Yes";
    const auto name = generic.find(row[1]);
    if (row[2] == "No" && name != generic.end()) drugs[stays.at(row[0])].insert(name->second);
  }
  EXPECT_EQ(drugs, ReadTables(mimic3_->path()).drugs);
  EXPECT_GT(blank, all / 5);
  EXPECT_LT(blank, all / 2);
  EXPECT_GT(mixtures, all / 50);
}

TEST_F(SynthLayoutsTest, Eicu_CodesAreThoseOfMimic3) {
  std::map<std::string, std::string> procedure;  // by path
  std::map<std::string, std::string> icd10;      // by ICD-9
  const SynthModel model = LoadSynthModel(kShipped);
  for (const SynthCode& code : model.procedures) procedure[code.path] = code.code;
  for (const SynthCode& code : model.diagnoses) icd10[code.code] = code.icd10;
  const auto stays = StayOfUnit(eicu_->path());
  std::set<std::pair<std::string, std::string>> of_eicu, of_mimic3;
  size_t blank = 0;
  for (const auto& row : ReadRows(eicu_->path(), "diagnosis", {"patientunitstayid", "icd9code"})) {
    if (row[1].empty()) {
      ++blank;
      continue;
    }
    std::string codes = row[1];
    std::erase(codes, '.');
    const size_t comma = codes.find(", ");
    const std::string icd9 = codes.substr(0, comma);
    EXPECT_EQ(codes.substr(comma + 2), icd10.at(icd9));
    of_eicu.emplace(stays.at(row[0]), icd9);
  }
  for (const auto& row :
       ReadRows(eicu_->path(), "treatment", {"patientunitstayid", "treatmentstring"})) {
    of_eicu.emplace(stays.at(row[0]), procedure.at(row[1]));
  }
  for (const char* stem : {"DIAGNOSES_ICD", "PROCEDURES_ICD"}) {
    for (const auto& row : ReadRows(mimic3_->path(), stem, {"HADM_ID", "ICD9_CODE"})) {
      of_mimic3.emplace(row[0], row[1]);
    }
  }
  EXPECT_EQ(of_eicu, of_mimic3);
  EXPECT_GT(blank, 0u);
}

TEST_F(SynthLayoutsTest, Eicu_UnitStaysOfAHospitalisationAgree) {
  struct Seen {
    std::set<std::string> patients;
    std::set<int64_t> lengths;
    std::map<int64_t, int64_t> begins;  // by unitvisitnumber
  };
  std::map<std::string, Seen> stays;
  size_t oldest = 0;
  for (const auto& row :
       ReadRows(eicu_->path(), "patient",
                {"patienthealthsystemstayid", "uniquepid", "hospitaladmitoffset",
                 "hospitaldischargeoffset", "unitdischargeoffset", "unitvisitnumber", "age"})) {
    Seen& seen = stays[row[0]];
    const int64_t admitted = std::stoll(row[2]), discharged = std::stoll(row[3]);
    seen.patients.insert(row[1]);
    seen.lengths.insert(discharged - admitted);
    EXPECT_LE(admitted, 0);
    EXPECT_GT(std::stoll(row[4]), 0);
    EXPECT_LE(std::stoll(row[4]), discharged);
    EXPECT_TRUE(seen.begins.emplace(std::stoll(row[5]), -admitted).second);
    oldest += row[6] == "> 89";
  }
  size_t several = 0;
  for (const auto& [id, seen] : stays) {
    EXPECT_EQ(seen.patients.size(), 1u) << id;
    EXPECT_EQ(seen.lengths.size(), 1u) << id;
    EXPECT_EQ(seen.begins.rbegin()->first, static_cast<int64_t>(seen.begins.size())) << id;
    int64_t last = -1;
    for (const auto& [number, begin] : seen.begins) {
      EXPECT_GT(begin, last) << id;
      last = begin;
    }
    several += seen.begins.size() > 1;
  }
  EXPECT_GT(several, stays.size() / 6);
  EXPECT_GT(oldest, 0u);
}

TEST_F(SynthLayoutsTest, Eicu_OracleHomeDrugsAndAllergiesAreThoseOfMimic3) {
  const std::vector<std::string> columns = {"HADM_ID", "ORACLE_LIST", "ORACLE_THRESHOLD"};
  EXPECT_EQ(ReadRows(eicu_->path(), "ORACLE", columns),
            ReadRows(mimic3_->path(), "ORACLE", columns));
  const auto stays = StayOfUnit(eicu_->path());
  const auto lines = [&](const char* stem) {
    std::map<std::string, std::set<std::string>> names;
    for (const auto& row : ReadRows(eicu_->path(), stem, {"patientunitstayid", "drugname"})) {
      names[stays.at(row[0])].insert(row[1]);
    }
    return names;
  };
  auto home = lines("admissionDrug"), allergies = lines("allergy");
  const auto listed = [](const std::string& note, const char* heading) {
    std::set<std::string> names;
    for (std::string name : synth_test::SplitNames(synth_test::Section(note, heading).at(0))) {
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      if (name != "NONE" && name != "NONE KNOWN") names.insert(name);
    }
    return names;
  };
  for (const auto& [hadm, note] : ReadTables(mimic3_->path()).summary) {
    EXPECT_EQ(home[hadm], listed(note, "Medications on Admission:")) << hadm;
    EXPECT_EQ(allergies[hadm], listed(note, "Allergies:")) << hadm;
  }
}

TEST(SynthLayoutNamedTest, UnknownName_UsageError) {
  EXPECT_EQ(SynthLayoutNamed("eicu"), SynthLayout::kEicu);
  EXPECT_THROW(SynthLayoutNamed("mimic2"), UsageError);
}

TEST(LoadSynthModelTest, ShippedModel_HasIcd10TitlesOfMimic4) {
  const fs::path demo = kShared / "mimic-iv-demo/hosp";
  if (!fs::exists(demo)) GTEST_SKIP() << "needs the MIMIC-IV demo in " << kShared;
  const SynthModel model = LoadSynthModel(kShipped);
  for (const auto& [stem, codes] :
       {std::pair("d_icd_diagnoses", &model.diagnoses), {"d_icd_procedures", &model.procedures}}) {
    std::set<Rows::value_type> titles;
    for (auto& row : ReadRows(demo, stem, {"icd_code", "icd_version", "long_title"})) {
      titles.insert(std::move(row));
    }
    std::set<std::string> used;
    for (const SynthCode& code : *codes) {
      EXPECT_TRUE(titles.count({code.icd10, "10", code.icd10_title})) << code.icd10;
      EXPECT_TRUE(used.insert(code.icd10).second) << "two codes are " << code.icd10;
    }
  }
}

}  // namespace
}  // namespace flame
