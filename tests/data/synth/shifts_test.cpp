#include "data/synth/shifts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <set>

#include "base/error.h"
#include "data/synth/patient.h"
#include "paths.h"
#include "tests/data/synth/synth_hospital.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using synth_test::Bytes;
using synth_test::Folder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const fs::path kShipped = fs::path(FLAME_SOURCE_DIR) / "data/synth/hospital";

SynthModel Shifted(const std::string& names) {
  SynthModel model = LoadSynthModel(kShipped);
  for (const SynthShift shift : ParseSynthShifts(names)) {
    EXPECT_THAT(ApplySynthShift(kShipped, shift, &model), HasSubstr(NameOf(shift) + ": "));
  }
  return model;
}

int32_t DrugNamed(const SynthModel& model, const std::string& name) {
  for (size_t i = 0; i < model.drugs.size(); ++i) {
    if (model.drugs[i].name == name) return static_cast<int32_t>(i);
  }
  ADD_FAILURE() << name;
  return 0;
}

const SynthCode& Diagnosis(const SynthModel& model, const std::string& code) {
  for (const SynthCode& diagnosis : model.diagnoses) {
    if (diagnosis.code == code) return diagnosis;
  }
  throw DataError(code);
}

// The visits of the first 200 patients, their oracles from few draws.
std::vector<SynthVisit> Visits(const SynthModel& model) {
  std::vector<SynthVisit> visits;
  for (uint32_t patient = 0; patient < 200; ++patient) {
    for (SynthVisit& visit : SimulateSynthPatient(model, 2, patient, 2).visits) {
      visits.push_back(std::move(visit));
    }
  }
  return visits;
}

double ShareWith(const std::vector<SynthVisit>& visits, const SynthModel& model,
                 const std::string& code) {
  const auto index = static_cast<int32_t>(&Diagnosis(model, code) - model.diagnoses.data());
  double with = 0;
  for (const SynthVisit& visit : visits) {
    const auto& diagnoses = visit.facts.diagnoses;
    with += static_cast<double>(std::count(diagnoses.begin(), diagnoses.end(), index));
  }
  return with / static_cast<double>(visits.size());
}

TEST(ParseSynthShiftsTest, Names_InOneOrderAndEachOnce) {
  EXPECT_THAT(ParseSynthShifts("none"), IsEmpty());
  EXPECT_THAT(ParseSynthShifts(""), IsEmpty());
  EXPECT_THAT(ParseSynthShifts("formulary,coding"),
              ElementsAre(SynthShift::kCoding, SynthShift::kFormulary));
  for (const char* wrong : {"codings", "coding,", ",coding", "coding,coding", "none,coding"}) {
    EXPECT_THROW(ParseSynthShifts(wrong), UsageError) << wrong;
  }
}

TEST(ApplySynthShiftTest, Prevalence_OnlyTheWeightsOfConditions) {
  const SynthModel before = LoadSynthModel(kShipped), after = Shifted("prevalence");
  EXPECT_DOUBLE_EQ(Diagnosis(after, "4280").weight, 1.2 * 0.4);
  EXPECT_DOUBLE_EQ(Diagnosis(after, "5712").weight, 0.8 * 2.5);
  EXPECT_DOUBLE_EQ(Diagnosis(after, "4019").weight, Diagnosis(before, "4019").weight);
  EXPECT_EQ(Diagnosis(after, "4280").calls, Diagnosis(before, "4280").calls);
  const auto was = Visits(before), is = Visits(after);
  EXPECT_LT(ShareWith(is, after, "4280"), 0.7 * ShareWith(was, before, "4280"));
  EXPECT_GT(ShareWith(is, after, "5712"), 1.3 * ShareWith(was, before, "5712"));
}

TEST(ApplySynthShiftTest, Coding_SomeCodesNeverAndOneProcedure) {
  const SynthModel before = LoadSynthModel(kShipped), after = Shifted("coding");
  const auto was = Visits(before), is = Visits(after);
  EXPECT_EQ(ShareWith(is, after, "2724"), 0);
  double coded_before = 0, coded_after = 0;
  for (const SynthCode& code : after.diagnoses) {
    if (!code.chronic || code.recorded == 0) continue;
    coded_before += ShareWith(was, before, code.code);
    coded_after += ShareWith(is, after, code.code);
  }
  EXPECT_NEAR(coded_after / coded_before, 0.6 / 0.9, 0.05);
  EXPECT_GT(ShareWith(is, after, "486"), 0.05);
  for (const SynthVisit& visit : is) EXPECT_EQ(visit.facts.procedures.size(), 1u);
}

// Heart failure calls for a loop diuretic with 0.78, coronary disease for a statin with 0.74,
// pancreatitis for an opioid with 0.74.
TEST(ApplySynthShiftTest, Prescribing_ChancesAsStated) {
  const SynthModel after = Shifted("prescribing");
  EXPECT_DOUBLE_EQ(Diagnosis(after, "4280").calls[0].second, 0.78);
  EXPECT_DOUBLE_EQ(Diagnosis(after, "41401").calls[1].second, 1 - 0.26 * 0.26);
  EXPECT_DOUBLE_EQ(Diagnosis(after, "5770").calls[0].second, 1 - std::pow(0.26, 0.4));
  EXPECT_DOUBLE_EQ(after.drugs[DrugNamed(after, "Warfarin")].weight, 0.1);
  EXPECT_DOUBLE_EQ(after.drugs[DrugNamed(after, "Rivaroxaban")].weight, 0.2);
}

TEST(ApplySynthShiftTest, Formulary_AbsentDrugsAreNowhere) {
  const SynthModel after = Shifted("formulary");
  DrugBits absent = 0;
  for (const char* name : {"Metoprolol", "Simvastatin", "Pantoprazole", "Sertraline", "Glyburide",
                           "Oxycodone", "Linezolid", "Eplerenone", "Allopurinol", "Colchicine"}) {
    absent |= DrugBits{1} << DrugNamed(after, name);
  }
  EXPECT_EQ(after.absent, absent);
  EXPECT_DOUBLE_EQ(after.drugs[DrugNamed(after, "Atenolol")].weight, 0.9 + 1);
  for (const SynthVisit& visit : Visits(after)) {
    EXPECT_EQ((visit.drugs | visit.facts.home | visit.facts.allergies) & absent, 0u);
  }
}

TEST(ApplySynthShiftTest, FallbackOfAnAllergicPatient_IsOnTheFormulary) {
  const SynthModel after = Shifted("formulary");
  SynthFacts facts;
  facts.allergies = DrugBits{1} << after.fallback_drug;
  RandomStream random(1);
  // Metoprolol, the first drug, is absent.
  EXPECT_EQ(SynthPrescriber(after, facts).Draw(&random),
            DrugBits{1} << DrugNamed(after, "Atenolol"));
}

TEST(ApplySynthShiftTest, AllShifts_VisitsThemselvesGiveTheOracle) {
  const SynthModel model = Shifted("prevalence,coding,prescribing,formulary");
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
  EXPECT_NEAR(list_seen / visits, list / visits, 0.03);
  EXPECT_NEAR(threshold_seen / visits, threshold / visits, 0.03);
}

TEST(ApplySynthShiftTest, WrongNames_DataErrorWithFileAndLine) {
  const Folder folder("flame-synth-shifts");
  fs::copy(kShipped, folder.path());
  const std::string text = Bytes(kShipped / "shifts.yaml");
  const auto message = [&](const std::string& from, const std::string& to, SynthShift shift) {
    std::string spoiled = text;
    spoiled.replace(spoiled.find(from), from.size(), to);
    std::ofstream(folder.path() / "shifts.yaml") << spoiled;
    SynthModel model = LoadSynthModel(folder.path());
    try {
      ApplySynthShift(folder.path(), shift, &model);
    } catch (const DataError& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message("opioid:", "opiate:", SynthShift::kPrescribing), HasSubstr("'opiate'"));
  EXPECT_THAT(message("Metoprolol: Atenolol", "Metoprolol: Losartan", SynthShift::kFormulary),
              HasSubstr("Losartan is not of the class of Metoprolol"));
  EXPECT_THAT(message("[Linezolid", "[Acetaminophen", SynthShift::kFormulary),
              HasSubstr("fallback"));
  EXPECT_THAT(message("recorded:", "coded:", SynthShift::kCoding), HasSubstr("'recorded'"));
}

TEST(WriteSynthHospitalTest, Shift_IsInSummaryReadmeAndDrugs) {
  const Folder folder("flame-synth-shifted");
  const SynthSummary summary = WriteSynthHospital(
      folder.path(), 20, 1, {SynthLayout::kMimic3, ParseSynthShifts("formulary")});
  EXPECT_EQ(summary.drugs, 48);
  ASSERT_EQ(summary.shifts.size(), 1u);
  EXPECT_THAT(Bytes(folder.path() / "README.txt"),
              HasSubstr("Shifted in " + summary.shifts.front()));
}

}  // namespace
}  // namespace flame
