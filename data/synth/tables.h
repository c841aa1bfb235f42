// Writes patients of the synthetic hospital in the layout of a real one. The hospital is the same
// in all of them: patients, admissions, codes, drugs, oracle.
#ifndef FLAME_DATA_SYNTH_TABLES_H_
#define FLAME_DATA_SYNTH_TABLES_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "data/synth/patient.h"

namespace flame {

class SynthTables {
 public:
  virtual ~SynthTables() = default;
  // Adds a patient's rows. Patients must come in order, from 0 on.
  virtual void Add(uint32_t patient, const SynthPatient& person) = 0;
  // Writes every table, the mappings and ORACLE.csv to an existing folder.
  virtual void Write(const std::filesystem::path& folder) const = 0;
};

// Each keeps a reference to `model`.
// MIMIC-III v1.4 (https://mimic.mit.edu/docs/iii): mimic3_tables.cpp.
std::unique_ptr<SynthTables> MakeMimic3Tables(const SynthModel& model, uint64_t seed);
// MIMIC-IV 2.2 (https://mimic.mit.edu/docs/iv): mimic4_tables.cpp.
std::unique_ptr<SynthTables> MakeMimic4Tables(const SynthModel& model, uint64_t seed);
// eICU-CRD 2.0 (https://eicu-crd.mit.edu): eicu_tables.cpp.
std::unique_ptr<SynthTables> MakeEicuTables(const SynthModel& model, uint64_t seed);

// How a hospital tells drugs: by the NDC of a package or by a name.
enum class SynthDrugWords { kPackages, kNames };

// Tables of facts, in dictionaries.cpp. Writes titles of codes, names, structures and interactions
// of drugs, and ndc9_to_drugbank.csv or drug_synonyms.csv; with the latter the carriers have names
// too, and no structure.
void WriteSynthMappings(const SynthModel& model, SynthDrugWords words,
                        const std::filesystem::path& mappings);
// Writes icd10_to_icd9_diagnoses.csv and icd10_to_icd9_procedures.csv, one code for one.
void WriteSynthCrosswalk(const SynthModel& model, const std::filesystem::path& mappings);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_TABLES_H_
