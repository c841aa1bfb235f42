// Ways in which a synthetic hospital differs from the one that a model was trained on.
#ifndef FLAME_DATA_SYNTH_SHIFTS_H_
#define FLAME_DATA_SYNTH_SHIFTS_H_

#include <filesystem>
#include <string>
#include <vector>

#include "data/synth/model.h"

namespace flame {

// Each changes the generating model itself, so oracles are those of the shifted model. Drugs still
// depend only on what a prompt shows.
enum class SynthShift {
  kPrevalence,   // other frequencies of conditions
  kCoding,       // other codes are recorded, and another share of them
  kPrescribing,  // other chances that a condition calls for a class, other preferred drugs
  kFormulary,    // some drugs are never given; an equivalent or nothing is
};

std::string NameOf(SynthShift shift);

// Reads names separated by commas, such as "prevalence,coding"; "none" and "" are no shift. Returns
// them in the order of SynthShift. Throws UsageError on another name or a repeated one.
std::vector<SynthShift> ParseSynthShifts(const std::string& names);

// Applies a shift as shifts.yaml of `folder` states it. Returns the statement, such as
// "coding: a chronic condition is coded with probability 0.6 in place of 0.9". Throws DataError
// naming the key that is missing or the name that refers to nothing.
std::string ApplySynthShift(const std::filesystem::path& folder, SynthShift shift,
                            SynthModel* model);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_SHIFTS_H_
