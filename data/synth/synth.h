// Writes a synthetic hospital in a real one's layout from a seed. docs/synth.md explains its
// generating model.
#ifndef FLAME_DATA_SYNTH_SYNTH_H_
#define FLAME_DATA_SYNTH_SYNTH_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/synth/shifts.h"

namespace flame {

enum class SynthLayout { kMimic3, kMimic4, kEicu };

// Returns the layout of the name mimic3, mimic4 or eicu. Throws UsageError on another.
SynthLayout SynthLayoutNamed(const std::string& name);

struct SynthOptions {
  SynthLayout like = SynthLayout::kMimic3;
  std::vector<SynthShift> shifts;  // each at most once
};

struct SynthSummary {
  int64_t patients = 0, visits = 0;
  int64_t drugs = 0;  // that can be given
  double drugs_per_visit = 0, ddi_rate = 0;
  // Means over all visits of the expected Jaccard of the best list and of {P(drug) > 0.5}.
  double oracle_list = 0, oracle_threshold = 0;
  std::vector<std::string> shifts;  // what each shift changes
};

// Writes the tables of the layout, ORACLE.csv and mappings/ to `folder`, whole or not at all. The
// same options, seed and size give the same bytes; without shifts every layout has the same
// patients, visits, drugs and oracle. Throws UsageError if `folder` exists and is not an empty
// folder, or if `num_patients` is below 1. Takes about a millisecond a patient.
SynthSummary WriteSynthHospital(const std::filesystem::path& folder, int64_t num_patients,
                                uint64_t seed, const SynthOptions& options = {});

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_SYNTH_H_
