#include "data/synth/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/random.h"
#include "data/synth/oracle.h"
#include "data/synth/patient.h"
#include "data/synth/prescriber.h"
#include "paths.h"
#include "tests/data/synth/synth_hospital.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using synth_test::Folder;
using synth_test::ReadRows;
const fs::path kShipped = fs::path(FLAME_SOURCE_DIR) / "data/synth/hospital";
const fs::path kShared = fs::path(FLAME_SOURCE_DIR) / "../shared/data/mappings";

// Returns a model of two classes: {0, 1} with weights 3:1 and {2, 3} with 1:1. Diagnosis 0 calls
// the first with probability 0.8 and the second always.
SynthModel TwoClasses() {
  SynthModel model;
  model.drugs.resize(4);
  for (int32_t i = 0; i < 4; ++i) model.drugs[i].of_class = i / 2;
  model.drugs[0].weight = 3;
  model.classes = {{"first", {0, 1}, 0b0011, 0}, {"second", {2, 3}, 0b1100, 0}};
  model.diagnoses.resize(1);
  model.diagnoses[0].calls = {{0, 0.8}, {1, 1.0}};
  model.home_need = 0.9;
  model.home_keep = 0.6;
  model.previous_keep = 0.5;
  model.avoid = 0.4;
  model.older_age = 65;
  model.fallback_drug = 2;
  return model;
}

SynthFacts Facts() {
  SynthFacts facts;
  facts.age = 50;
  facts.gender = 'M';
  facts.diagnoses = {0};
  return facts;
}

// Returns the share of 40,000 draws for which `event` holds; its standard error is at most 0.0025.
double Share(const SynthModel& model, const SynthFacts& facts,
             const std::function<bool(DrugBits)>& event) {
  const SynthPrescriber prescriber(model, facts);
  RandomStream random(5, kSynth, 1, 1);
  int hits = 0;
  for (int i = 0; i < 40000; ++i) hits += event(prescriber.Draw(&random));
  return hits / 40000.0;
}

std::function<bool(DrugBits)> Has(int drug) {
  return [drug](DrugBits set) { return (set >> drug & 1) != 0; };
}

constexpr double kTolerance = 0.01;

TEST(SynthPrescriberTest, NeededClass_OneDrugInProportionToWeight) {
  const SynthModel model = TwoClasses();
  EXPECT_NEAR(Share(model, Facts(), Has(0)), 0.8 * 0.75, kTolerance);
  EXPECT_NEAR(Share(model, Facts(), Has(1)), 0.8 * 0.25, kTolerance);
  EXPECT_NEAR(Share(model, Facts(), Has(2)), 0.5, kTolerance);
  EXPECT_EQ(Share(model, Facts(), [](DrugBits set) { return std::popcount(set & 0b11u) > 1; }), 0);
}

TEST(SynthPrescriberTest, AgeSexAndDiagnosis_ChangeTheWeight) {
  SynthModel model = TwoClasses();
  model.drugs[0].older = 0.5;
  model.drugs[0].female = 2;
  model.drugs[0].with = {{0, 0.1}};
  SynthFacts facts = Facts();
  facts.age = 65;
  facts.gender = 'F';
  EXPECT_DOUBLE_EQ(SynthDrugWeight(model, model.drugs[0], facts), 3 * 0.5 * 2 * 0.1);
  facts.age = 64;
  facts.diagnoses.clear();
  EXPECT_DOUBLE_EQ(SynthDrugWeight(model, model.drugs[0], facts), 3 * 2);
}

TEST(SynthPrescriberTest, PreviousDrug_IsKeptWithItsChance) {
  SynthFacts facts = Facts();
  facts.previous = 0b0010;
  EXPECT_NEAR(Share(TwoClasses(), facts, Has(1)), 0.8 * (0.5 + 0.5 * 0.25), kTolerance);
}

TEST(SynthPrescriberTest, HomeDrug_NeedsItsClassAndWinsOverThePreviousOne) {
  SynthFacts facts = Facts();
  facts.previous = 0b0001;
  facts.home = 0b0010;
  const double need = 1 - 0.2 * 0.1;
  EXPECT_NEAR(Share(TwoClasses(), facts, Has(1)), need * (0.6 + 0.4 * 0.25), kTolerance);
}

TEST(SynthPrescriberTest, Allergy_LeavesTheEquivalentOrNone) {
  SynthFacts facts = Facts();
  facts.allergies = 0b0001;
  facts.previous = 0b0001;
  EXPECT_NEAR(Share(TwoClasses(), facts, Has(1)), 0.8, kTolerance);
  facts.allergies = 0b1111;
  EXPECT_EQ(Share(TwoClasses(), facts, [](DrugBits set) { return set != 0b10000; }), 0);
}

TEST(SynthPrescriberTest, HarmfulChoice_IsSwappedWithItsChance) {
  SynthModel model = TwoClasses();
  model.diagnoses[0].calls = {{0, 1.0}, {1, 1.0}};
  model.drugs[0].harmful = 0b0100;
  model.drugs[2].harmful = 0b0001;
  // Drug 2 is harmful with drug 0, which 3 in 4 draws hold. Drug 3 then replaces it 4 times in 10.
  EXPECT_NEAR(Share(model, Facts(), Has(2)), 0.25 * 0.5 + 0.75 * 0.5 * 0.6, kTolerance);
}

TEST(SynthPrescriberTest, PartnerAndExclusion_FollowTheEarlierDrug) {
  SynthModel model = TwoClasses();
  model.drugs[0].partners = {{3, 0.3}};
  const auto both = [](DrugBits set) { return (set & 0b1100) == 0b1100; };
  EXPECT_EQ(Share(model, Facts(), both), 0);  // the partner is the only drug of its class
  EXPECT_NEAR(Share(model, Facts(), Has(3)), 0.6 * (0.3 + 0.7 * 0.5) + 0.4 * 0.5, kTolerance);
  model.drugs[0].partners.clear();
  model.classes[1].not_with = 0b0011;
  EXPECT_NEAR(Share(model, Facts(), Has(2)), 0.2 * 0.5, kTolerance);
}

TEST(SynthPrescriberTest, NothingNeeded_FallbackDrug) {
  SynthFacts facts = Facts();
  facts.diagnoses.clear();
  EXPECT_EQ(Share(TwoClasses(), facts, [](DrugBits set) { return set != 0b0100; }), 0);
}

// Returns the draws twice, so that both halves of the oracle see the same distribution.
std::vector<DrugBits> Twice(std::vector<DrugBits> draws) {
  const std::vector<DrugBits> once = draws;
  draws.insert(draws.end(), once.begin(), once.end());
  return draws;
}

TEST(SynthOracleTest, OneSureAndOnePossibleDrug_ClosedForm) {
  // A draw is {0, 1} with probability q = p / 10, else {0}. E J({0}) = 1 - q / 2 and
  // E J({0, 1}) = (1 + q) / 2.
  for (const int p : {2, 4, 6, 8}) {
    std::vector<DrugBits> draws(10, 0b01);
    std::fill_n(draws.begin(), p, 0b11);
    const SynthOracle oracle = SolveSynthOracle(Twice(draws));
    EXPECT_DOUBLE_EQ(oracle.list, p > 5 ? (1 + p / 10.0) / 2 : 1 - p / 20.0) << p;
    EXPECT_DOUBLE_EQ(oracle.threshold, oracle.list) << p;
  }
}

TEST(SynthOracleTest, ExclusiveDrugs_ThresholdTakesNone) {
  const SynthOracle oracle =
      SolveSynthOracle(Twice({1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 4, 4, 4, 4}));
  EXPECT_EQ(oracle.best, 1u);
  EXPECT_DOUBLE_EQ(oracle.list, 0.45);
  EXPECT_EQ(oracle.likely, 0u);
  EXPECT_DOUBLE_EQ(oracle.threshold, 0);
}

TEST(SynthOracleTest, RandomDistributions_EqualExhaustiveSearch) {
  for (uint32_t trial = 0; trial < 30; ++trial) {
    RandomStream random(9, trial);
    std::vector<double> chance(7);
    for (double& p : chance) p = random.Uniform();
    std::vector<DrugBits> draws(40);
    for (DrugBits& set : draws) {
      for (int drug = 0; drug < 7; ++drug) set |= DrugBits{random.Bernoulli(chance[drug])} << drug;
    }
    double best = 0;
    for (DrugBits set = 1; set < 128; ++set) {
      double sum = 0;
      for (const DrugBits draw : draws) {
        if (draw) sum += std::popcount(set & draw) / static_cast<double>(std::popcount(set | draw));
      }
      best = std::max(best, sum / 40);
    }
    const SynthOracle oracle = SolveSynthOracle(Twice(draws));
    EXPECT_NEAR(oracle.list, best, 1e-12) << trial;
    EXPECT_LE(oracle.threshold, best + 1e-12) << trial;
  }
}

TEST(SynthOracleTest, ShippedModel_VisitsThemselvesGiveTheSameMeans) {
  const SynthModel model = LoadSynthModel(kShipped);
  double visits = 0, list = 0, threshold = 0, list_seen = 0, threshold_seen = 0;
  for (uint32_t patient = 0; patient < 300; ++patient) {
    for (const SynthVisit& visit : SimulateSynthPatient(model, 2, patient, 512).visits) {
      ++visits;
      list += visit.oracle.list;
      threshold += visit.oracle.threshold;
      list_seen += SynthJaccard(visit.oracle.best, visit.drugs);
      threshold_seen += SynthJaccard(visit.oracle.likely, visit.drugs);
    }
  }
  // About 800 visits, whose Jaccards have a standard deviation near 0.2.
  EXPECT_NEAR(list_seen / visits, list / visits, 0.025);
  EXPECT_NEAR(threshold_seen / visits, threshold / visits, 0.025);
}

TEST(LoadSynthModelTest, ShippedModel_HasFactsOfThePublicTables) {
  if (!fs::exists(kShared)) {
    GTEST_SKIP() << "needs the mapping tables in " << kShared
                 << ", which are not part of the project";
  }
  const SynthModel model = LoadSynthModel(kShipped);
  std::map<std::string, std::set<std::string>> packages;
  for (const auto& row : ReadRows(kShared, "ndc9_to_drugbank", {"NDC", "drugbank_id"})) {
    packages[row[0]].insert(row[1]);
  }
  std::map<std::string, std::string> structures, names;
  for (const auto& row : ReadRows(kShared, "drugbank_to_smiles", {"drug_id", "smiles"})) {
    structures[row[0]] = row[1];
  }
  for (const auto& row : ReadRows(kShared, "drugbank_to_name", {"drugbank_id", "drug_name"})) {
    names[row[0]] = row[1];
  }
  const std::map<std::string, std::string> other_names = {{"Aspirin", "Acetylsalicylic acid"},
                                                          {"Torsemide", "Torasemide"},
                                                          {"Albuterol", "Salbutamol"}};
  for (const SynthDrug& drug : model.drugs) {
    EXPECT_EQ(structures[drug.drugbank], drug.smiles) << drug.name;
    const auto other = other_names.find(drug.name);
    EXPECT_EQ(names[drug.drugbank], other == other_names.end() ? drug.name : other->second);
    for (const auto& ndc : drug.ndc) {
      EXPECT_EQ(packages[ndc.substr(0, 9)], std::set<std::string>{drug.drugbank}) << ndc;
    }
  }
}

TEST(LoadSynthModelTest, ShippedModel_HasTitlesAndInteractionsOfThePublicTables) {
  if (!fs::exists(kShared)) {
    GTEST_SKIP() << "needs the mapping tables in " << kShared
                 << ", which are not part of the project";
  }
  const SynthModel model = LoadSynthModel(kShipped);
  std::set<std::vector<std::string>> titles;
  for (const char* file : {"icd9_diagnoses", "icd9_procedures"}) {
    for (auto& row : ReadRows(kShared, file, {"ICD9_CODE", "SHORT_TITLE", "LONG_TITLE"})) {
      titles.insert(row);
    }
  }
  for (const SynthCode& code : model.diagnoses) {
    EXPECT_TRUE(titles.count({code.code, code.short_title, code.long_title})) << code.code;
  }
  for (const SynthCode& code : model.procedures) {  // without leading zeros in that table
    const std::string number = std::to_string(std::stoi(code.code));
    EXPECT_TRUE(titles.count({number, code.short_title, code.long_title})) << code.code;
  }
  std::set<std::set<std::string>> pairs;
  for (const auto& row : ReadRows(kShared, "ddi_public", {"drug1", "drug2"})) {
    pairs.insert({row[0], row[1]});
  }
  EXPECT_GT(model.interactions.size(), 200u);
  for (const auto& [first, second, sources] : model.interactions) {
    const SynthDrug &a = model.drugs[first], &b = model.drugs[second];
    EXPECT_TRUE(pairs.count({a.drugbank, b.drugbank})) << a.name << " " << b.name;
  }
}

TEST(LoadSynthModelTest, NameThatIsNothing_DataErrorWithFileAndLine) {
  const Folder folder("flame-synth-model");
  fs::copy(kShipped, folder.path());
  std::string text = synth_test::Bytes(folder.path() / "model.yaml");
  text.replace(text.find("drug: Enalapril"), 15, "drug: Enalabril");
  std::ofstream(folder.path() / "model.yaml") << text;
  try {
    LoadSynthModel(folder.path());
    FAIL() << "loaded a drug without facts";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("model.yaml"), testing::HasSubstr("'Enalabril'"),
                               testing::HasSubstr("line ")));
  }
  fs::remove(folder.path() / "facts.yaml");
  EXPECT_THROW(LoadSynthModel(folder.path()), DataError);
}

}  // namespace
}  // namespace flame
