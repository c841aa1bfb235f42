// Prints, for each admission of some patients of a synthetic hospital, the true chance of each drug
// given what the prompt shows, as CSV: HADM_ID and one column per DrugBank id. With these one can
// tell how much of a policy's distance from the ceiling is wrong chances, and how much is decoding.
//   oracle_marginals data/synth/hospital SEED FIRST_PATIENT LAST_PATIENT DRAWS > marginals.csv
#include <cstdio>
#include <cstdlib>

#include "base/random.h"
#include "data/synth/patient.h"
#include "data/synth/prescriber.h"

namespace {

using namespace flame;

constexpr int64_t kFirstAdmission = 100000;

void PrintVisit(const SynthModel& model, const SynthVisit& visit, int64_t hadm, int draws,
                RandomStream random) {
  const SynthPrescriber prescriber(model, visit.facts);
  std::vector<int> counts(model.drugs.size(), 0);
  for (int i = 0; i < draws; ++i) {
    const DrugBits drawn = prescriber.Draw(&random);
    for (size_t d = 0; d < counts.size(); ++d) counts[d] += static_cast<int>(drawn >> d & 1);
  }
  std::printf("%lld", static_cast<long long>(hadm));
  for (const int count : counts) std::printf(",%.5g", count / static_cast<double>(draws));
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: oracle_marginals FOLDER SEED FIRST_PATIENT LAST_PATIENT DRAWS\n");
    return 2;
  }
  const SynthModel model = LoadSynthModel(argv[1]);
  std::printf("HADM_ID");
  for (const SynthDrug& drug : model.drugs) std::printf(",%s", drug.drugbank.c_str());
  std::printf("\n");
  const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  for (int64_t p = std::atoll(argv[3]); p <= std::atoll(argv[4]); ++p) {
    const auto patient = static_cast<uint32_t>(p);
    const SynthPatient person = SimulateSynthPatient(model, seed, patient, 2);
    for (size_t i = 0; i < person.visits.size(); ++i) {
      PrintVisit(model, person.visits[i],
                 kFirstAdmission + p * kMaxSynthAdmissions + static_cast<int64_t>(i),
                 std::atoi(argv[5]), RandomStream(seed + 1, kOracle, patient, i + 1));
    }
  }
  return 0;
}
