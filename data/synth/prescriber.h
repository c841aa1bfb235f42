// Prescribing in the synthetic hospital: draws a drug set from what the record shows at admission.
#ifndef FLAME_DATA_SYNTH_PRESCRIBER_H_
#define FLAME_DATA_SYNTH_PRESCRIBER_H_

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "data/synth/model.h"

namespace flame {

// Everything that the drugs of a visit depend on; all of it is in the tables or the note.
struct SynthFacts {
  int32_t age = 0;
  char gender = 'U';
  std::vector<int32_t> diagnoses, procedures;  // as recorded at this visit
  DrugBits previous = 0;                       // drugs of the previous visit
  DrugBits home = 0;                           // medications on admission, at most one of a class
  DrugBits allergies = 0;                      // never in `home`
};

// The distribution of the drug set given the facts. Draws of one prescriber are independent.
class SynthPrescriber {
 public:
  // Keeps a reference to `model`.
  SynthPrescriber(const SynthModel& model, const SynthFacts& facts);
  // Draws a drug set without allergies. It is never empty: if no class is needed, it is the
  // fallback drug.
  DrugBits Draw(RandomStream* random) const;

 private:
  struct Need {
    int32_t index = 0;  // the class
    double chance = 0;
    int32_t home = -1, previous = -1;  // drugs of the class that may be continued; -1: none
    std::vector<int32_t> drugs;        // drugs of the class, without allergies
    std::vector<double> weights;       // a weight for each of `drugs`
    double total = 0;
  };
  int32_t Choose(const Need& need, RandomStream* random) const;
  // Returns the equivalent of `drug` with the fewest harmful pairs with `given`; `drug` itself if
  // no other has fewer.
  int32_t LeastHarmful(const Need& need, int32_t drug, DrugBits given) const;

  const SynthModel& model_;
  DrugBits allergies_;
  std::vector<Need> needs_;  // classes with a chance above 0, in the order of prescribing
};

// Returns the drug's weight among its equivalents.
double SynthDrugWeight(const SynthModel& model, const SynthDrug& drug, const SynthFacts& facts);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_PRESCRIBER_H_
