// Calibration of pi_cls's threshold on validation visits.
#ifndef FLAME_RECOMMEND_CALIBRATE_H_
#define FLAME_RECOMMEND_CALIBRATE_H_

#include <cstdint>
#include <filesystem>
#include <vector>

#include "comm/communicator.h"
#include "model/policy.h"
#include "recommend/materials.h"
#include "trainer/options.h"

namespace flame {

// A drug is predicted if its logit, that is logit(Yes) - logit(No), is above `offset`.
struct Calibration {
  double offset = 0;         // 0: the paper's P(Yes) > P(No)
  double jaccard = 0;        // mean Jaccard at `offset` over the visits calibrated on
  double jaccard_paper = 0;  // mean Jaccard at offset 0
  int64_t num_visits = 0;    // visits calibrated on
};

// Returns the offset with the highest mean Jaccard. The predicted sets change only at logits, so it
// tries one offset per gap between neighbouring logits: 0 if the gap contains 0, else the middle of
// the gap (1 beyond the outermost logits). Among equally good offsets it returns the one nearest to
// 0. `logits` is [visits, num_drugs]; `truth` has one set per visit. Throws DataError if a logit is
// not a number.
Calibration BestOffset(const std::vector<float>& logits,
                       const std::vector<std::vector<int32_t>>& truth, int32_t num_drugs);

// Calibrates on the corpus's validation visits, which are split over the ranks of `world`;
// null: one process. If options.threshold is "paper", scores nothing and returns offset 0. Throws
// DataError if there is no validation visit.
Calibration CalibrateClassifier(const ClassifierOptions& options, const Materials& materials,
                                const Policy& policy, Communicator* world);

// Writes model_dir/threshold.json: {"offset", "jaccard", "jaccard_paper", "num_visits"}. Writes
// nothing if num_visits is 0.
void WriteThreshold(const Calibration& calibration, const std::filesystem::path& model_dir);
// Returns the offset in model_dir/threshold.json; 0 if that file does not exist. Throws DataError
// if the file has no number "offset".
double ReadThreshold(const std::filesystem::path& model_dir);
inline constexpr char kThresholdFile[] = "threshold.json";

}  // namespace flame

#endif  // FLAME_RECOMMEND_CALIBRATE_H_
