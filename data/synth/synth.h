// Writes a synthetic hospital in MIMIC-III's layout from a seed. docs/synth.md explains its
// generating model.
#ifndef FLAME_DATA_SYNTH_SYNTH_H_
#define FLAME_DATA_SYNTH_SYNTH_H_

#include <cstdint>
#include <filesystem>

namespace flame {

struct SynthSummary {
  int64_t patients = 0, visits = 0, drugs = 0;
  double drugs_per_visit = 0, ddi_rate = 0;
  // Means over all visits of the expected Jaccard of the best list and of {P(drug) > 0.5}.
  double oracle_list = 0, oracle_threshold = 0;
};

// Writes PATIENTS.csv, ADMISSIONS.csv, DIAGNOSES_ICD.csv, PROCEDURES_ICD.csv, PRESCRIPTIONS.csv,
// NOTEEVENTS.csv, D_ICD_DIAGNOSES.csv, D_ICD_PROCEDURES.csv, ORACLE.csv and mappings/ to `folder`,
// whole or not at all. The same seed and size give the same bytes. Throws UsageError if `folder`
// exists and is not an empty folder, or if `num_patients` is below 1. Takes about a millisecond a
// patient.
SynthSummary WriteSynthHospital(const std::filesystem::path& folder, int64_t num_patients,
                                uint64_t seed);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_SYNTH_H_
