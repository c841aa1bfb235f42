// A corpus of a few patients for tests of encoders.
#ifndef FLAME_TESTS_ENCODERS_SMALL_CORPUS_H_
#define FLAME_TESTS_ENCODERS_SMALL_CORPUS_H_

#include <cstdint>

#include "base/random.h"
#include "data/corpus.h"

namespace flame {

// Visits of three a patient. A drug is given with the diagnosis of its number, and with no other.
inline Corpus SmallCorpus(int32_t num_visits) {
  Corpus corpus;
  corpus.diagnoses.codes.resize(9);
  corpus.procedures.codes.resize(4);
  corpus.drugs.codes.resize(6);
  corpus.ddi = DdiGraph(6);
  corpus.ddi.Add(0, 1);
  corpus.ddi.Add(2, 5);
  for (int32_t v = 0; v < num_visits; ++v) {
    RandomStream random(5, static_cast<uint32_t>(v));
    Visit visit;
    visit.hadm = 1000 + v;
    visit.patient = v / 3;
    visit.previous = v % 3 == 0 ? -1 : v - 1;
    visit.split = visit.patient % 5 == 4 ? Split::kValidation : Split::kTrain;
    for (int32_t code = 0; code < 9; ++code) {
      if (code == v % 9 || random.Bernoulli(0.3)) visit.diagnoses.push_back(code);
    }
    for (const int32_t code : visit.diagnoses) {
      if (code < 6) visit.drugs.push_back(code);
    }
    if (random.Bernoulli(0.5)) visit.procedures.push_back(static_cast<int32_t>(random.Below(4)));
    corpus.visits.push_back(visit);
  }
  return corpus;
}

}  // namespace flame

#endif  // FLAME_TESTS_ENCODERS_SMALL_CORPUS_H_
