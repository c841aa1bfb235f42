// The threshold of pi_cls, calibrated on validation visits.
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

// A drug is predicted where its logit (of Yes, less that of No) is above `offset`.
struct Calibration {
  double offset = 0;         // 0: the paper's P(Yes) > P(No)
  double jaccard = 0;        // mean over the visits calibrated on
  double jaccard_paper = 0;  // the same at offset 0
  int64_t num_visits = 0;
};

// The offset of the highest mean Jaccard, from all that tell sets apart: between two neighbouring
// logits the middle, or 0 where that is between them; of equals the one nearest to 0. `logits` is
// [visits, num_drugs]; `truth` has one set a visit.
Calibration BestOffset(const std::vector<float>& logits,
                       const std::vector<std::vector<int32_t>>& truth, int32_t num_drugs);

// Calibrates on the corpus's validation visits, which the ranks of `world` (null: one) share. With
// options.threshold "paper" nothing is scored and the offset is 0.
Calibration CalibrateClassifier(const ClassifierOptions& options, const Materials& materials,
                                const Policy& policy, Communicator* world);

// model_dir/threshold.json: {"offset", "jaccard", "jaccard_paper", "num_visits"}, made where there
// were visits; a folder without it has offset 0. Throws DataError on a file that does not say.
void WriteThreshold(const Calibration& calibration, const std::filesystem::path& model_dir);
double ReadThreshold(const std::filesystem::path& model_dir);
inline constexpr char kThresholdFile[] = "threshold.json";

}  // namespace flame

#endif  // FLAME_RECOMMEND_CALIBRATE_H_
