// Evaluation of a run's policies on held-out visits.
#ifndef FLAME_LAUNCH_RUN_EVALUATE_H_
#define FLAME_LAUNCH_RUN_EVALUATE_H_

#include <nlohmann/json.hpp>
#include <string>

#include "launch/run/config.h"

namespace flame {

// What evaluation.json holds:
//   {"split", "num_visits", "truth": {"ddi", "drugs"},
//    "rows": [{"policy", "jaccard", "jaccard_ci": [lo, hi], "precision", "recall", "f1", "prauc",
//              "ddi", "ddi_pooled", "drugs", "edits", "jaccard_sampled"}],
//    "comparisons": [{"policy", "baseline", "metric", "difference", "ci": [lo, hi]}],
//    "oracle": {"list", "threshold"}}
// Policies: popularity, previous, classifier, list-sft, list-grpo. A field that a policy has no
// value for is null; "oracle" is null where the hospital's truth is unknown. Fractions in 0..1;
// intervals are 95 %, from a bootstrap over patients.
nlohmann::json EvaluateRun(const Config& config);

// The table that a person reads.
std::string EvaluationTable(const nlohmann::json& evaluation);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_EVALUATE_H_
