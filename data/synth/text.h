// Cells and sentences of the synthetic hospital's tables.
#ifndef FLAME_DATA_SYNTH_TEXT_H_
#define FLAME_DATA_SYNTH_TEXT_H_

#include <string>

#include "data/synth/model.h"
#include "data/synth/patient.h"

namespace flame {

// Returns "a ""b""" for a "b" (RFC 4180).
std::string Quoted(const std::string& text);
// Returns the text as a cell that is quoted only if it must be.
std::string Plain(const std::string& text);
std::string UpperCase(std::string text);
// Returns "Metoprolol, Warfarin", in the order of SynthModel::drugs; "" for no drug.
std::string DrugNames(const SynthModel& model, DrugBits drugs);

// Returns a discharge summary: what was known at admission, then the answer (Discharge
// Medications).
std::string SynthNote(const SynthModel& model, const SynthVisit& visit);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_TEXT_H_
