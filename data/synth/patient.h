// Patients of the synthetic hospital, each a function of (seed, patient) alone.
#ifndef FLAME_DATA_SYNTH_PATIENT_H_
#define FLAME_DATA_SYNTH_PATIENT_H_

#include <cstdint>
#include <vector>

#include "data/synth/model.h"
#include "data/synth/oracle.h"
#include "data/synth/prescriber.h"

namespace flame {

struct SynthVisit {
  SynthFacts facts;
  int32_t main_diagnosis = 0;  // the acute condition that led to the admission
  DrugBits drugs = 0;
  SynthOracle oracle;
};

struct SynthPatient {
  char gender = 'U';
  std::vector<SynthVisit> visits;  // in order of time
};

// `draws` is the number of drug sets from which a visit's oracle is computed.
SynthPatient SimulateSynthPatient(const SynthModel& model, uint64_t seed, uint32_t patient,
                                  int32_t draws);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_PATIENT_H_
