// Predicted drug lists in a file, so that any system is evaluated on the visits of another.
#ifndef FLAME_RECOMMEND_EVALUATION_PREDICTIONS_H_
#define FLAME_RECOMMEND_EVALUATION_PREDICTIONS_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "data/corpus.h"

namespace flame {

// The file has one JSON object a line, in UTF-8; blank lines are skipped:
//   {"hadm_id": 142345, "drugs": ["DB00316", "DB01118"], "scores": {"DB00316": 0.9, "DB00204":
//   0.2}}
// `hadm_id` is the visit's. `drugs` holds codes of the corpus's drugs, each once. `scores`, in
// every line or in none, ranks the drugs for PRAUC: only the order counts, and drugs without a
// score come last.
struct Predictions {
  std::vector<std::vector<int32_t>> drugs;  // [visit], ascending
  // [visits, drugs]: the rank of a drug's score among the different scores of all visits, 0 for the
  // lowest; -1 for a drug without one. Empty without scores.
  std::vector<float> scores;
};

// Reads the predictions of `visits` of the corpus; lines of its other visits are ignored. Throws
// DataError with file and line on a line of another form (ParseJsonObject), an unknown visit or
// drug, a drug or a visit that is there twice, and naming the first visit that is missing.
Predictions ReadPredictions(const std::filesystem::path& file, const Corpus& corpus,
                            const std::vector<int32_t>& visits);

// Writes the drugs of `visits` in that form, with `scores`, [visits, drugs], unless empty. A score
// has the digits that give the same float32 again.
void WritePredictions(const std::filesystem::path& file, const Corpus& corpus,
                      const std::vector<int32_t>& visits,
                      const std::vector<std::vector<int32_t>>& drugs,
                      const std::vector<float>& scores);

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_PREDICTIONS_H_
