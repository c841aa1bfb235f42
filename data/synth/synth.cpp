#include "data/synth/synth.h"

#include <algorithm>
#include <bit>
#include <future>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/program_files.h"
#include "data/synth/patient.h"
#include "data/synth/tables.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// The number of drug sets from which a visit's oracle is computed. The error of a visit's figure is
// then near 0.01, that of the mean over a few thousand visits below 0.001.
constexpr int32_t kOracleDraws = 512;
// Patients that are in memory at once.
constexpr int64_t kBlock = 2048;

std::string NameOf(SynthLayout layout) {
  switch (layout) {
    case SynthLayout::kMimic4:
      return "MIMIC-IV 2.2";
    case SynthLayout::kEicu:
      return "eICU-CRD 2.0";
    case SynthLayout::kMimic3:
      break;
  }
  return "MIMIC-III v1.4";
}

std::string Readme(SynthLayout layout, const std::vector<std::string>& shifts) {
  std::string text = StrCat(
      "A synthetic hospital in the layout of ", NameOf(layout), ", made by `flame synth`.\n",
      "No patient in it is real. Codes, drugs and interactions are; how they are combined is an\n"
      "invented model (docs/synth.md of the program), so nothing here is medical knowledge.\n"
      "ORACLE.csv holds, for each admission, the expected Jaccard of the best possible list and "
      "of\nthe drugs more likely than not, under that model.\n");
  for (const std::string& shift : shifts) text += "Shifted in " + shift + ".\n";
  return text;
}

std::unique_ptr<SynthTables> MakeTables(SynthLayout layout, const SynthModel& model,
                                        uint64_t seed) {
  switch (layout) {
    case SynthLayout::kMimic4:
      return MakeMimic4Tables(model, seed);
    case SynthLayout::kEicu:
      return MakeEicuTables(model, seed);
    case SynthLayout::kMimic3:
      break;
  }
  return MakeMimic3Tables(model, seed);
}

double DdiRate(const SynthModel& model, DrugBits drugs) {
  const int count = std::popcount(drugs);
  if (count < 2) return 0;
  int harmful = 0;  // counts each pair twice
  for (DrugBits left = drugs; left; left &= left - 1) {
    harmful += std::popcount(model.drugs[std::countr_zero(left)].harmful & drugs);
  }
  return static_cast<double>(harmful) / (count * (count - 1));
}

// Adds the visits of a patient to the sums, which WriteSynthHospital divides by the number of
// visits.
void Count(const SynthModel& model, const SynthPatient& patient, SynthSummary* summary) {
  for (const SynthVisit& visit : patient.visits) {
    ++summary->visits;
    summary->drugs_per_visit += std::popcount(visit.drugs);
    summary->ddi_rate += DdiRate(model, visit.drugs);
    summary->oracle_list += visit.oracle.list;
    summary->oracle_threshold += visit.oracle.threshold;
  }
}

// Returns `count` patients from `first` on, simulated on all cores. A patient depends on its number
// and the seed alone.
std::vector<SynthPatient> Simulate(const SynthModel& model, uint64_t seed, int64_t first,
                                   int64_t count) {
  std::vector<SynthPatient> patients(count);
  const auto workers = std::max<int64_t>(1, std::thread::hardware_concurrency());
  std::vector<std::future<void>> parts;
  for (int64_t worker = 0; worker < workers; ++worker) {
    parts.push_back(std::async(std::launch::async, [&, worker] {
      for (int64_t i = worker; i < count; i += workers) {
        patients[i] =
            SimulateSynthPatient(model, seed, static_cast<uint32_t>(first + i), kOracleDraws);
      }
    }));
  }
  for (std::future<void>& part : parts) part.get();
  return patients;
}

void CheckTarget(const fs::path& folder, int64_t num_patients) {
  if (num_patients < 1 || num_patients > std::numeric_limits<int32_t>::max()) {
    throw UsageError("a synthetic hospital needs 1 patient or more; ", num_patients, " asked for");
  }
  if (fs::exists(folder) && (!fs::is_directory(folder) || !fs::is_empty(folder))) {
    throw UsageError(folder.string(),
                     " exists and is not an empty folder; the synthetic hospital "
                     "is written to a new one");
  }
}

}  // namespace

SynthLayout SynthLayoutNamed(const std::string& name) {
  if (name == "mimic3") return SynthLayout::kMimic3;
  if (name == "mimic4") return SynthLayout::kMimic4;
  if (name == "eicu") return SynthLayout::kEicu;
  throw UsageError("no layout is named '", name, "'; expected mimic3, mimic4 or eicu");
}

SynthSummary WriteSynthHospital(const fs::path& folder, int64_t num_patients, uint64_t seed,
                                const SynthOptions& options) {
  CheckTarget(folder, num_patients);
  const fs::path facts = ShareFolder() / "synth";
  SynthModel model = LoadSynthModel(facts);
  SynthSummary summary;
  for (const SynthShift shift : options.shifts) {
    summary.shifts.push_back(ApplySynthShift(facts, shift, &model));
  }
  const std::unique_ptr<SynthTables> tables = MakeTables(options.like, model, seed);
  summary.patients = num_patients;
  summary.drugs = static_cast<int64_t>(model.drugs.size()) - std::popcount(model.absent);
  for (int64_t first = 0; first < num_patients; first += kBlock) {
    auto patient = static_cast<uint32_t>(first);
    for (const SynthPatient& person :
         Simulate(model, seed, first, std::min(kBlock, num_patients - first))) {
      tables->Add(patient++, person);
      Count(model, person, &summary);
    }
  }
  for (double* sum : {&summary.drugs_per_visit, &summary.ddi_rate, &summary.oracle_list,
                      &summary.oracle_threshold}) {
    *sum /= static_cast<double>(summary.visits);
  }
  AtomicPath whole(folder, AtomicPath::Kind::kFolder);
  tables->Write(whole.temporary());
  WriteFileAtomically(whole.temporary() / "README.txt", Readme(options.like, summary.shifts));
  whole.Commit();
  return summary;
}

}  // namespace flame
