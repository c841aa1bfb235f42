// Evaluation of a run's policies on held-out visits.
#ifndef FLAME_LAUNCH_RUN_EVALUATE_H_
#define FLAME_LAUNCH_RUN_EVALUATE_H_

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/transfer.h"
#include "launch/config/config.h"

namespace flame {

// Evaluates the run's policies, writes the lists of each to its file of RunPaths::predictions, and
// returns the contents of evaluation.json:
//   {"split", "num_visits", "num_patients", "truth": {"ddi", "drugs"}, "oracle": {"list",
//   "threshold"},
//    "rows": [RowJson], "comparisons": [Compare], "groups": SubgroupsJson,
//    "rare_drugs": RareDrugsJson, "calibration": CalibrationJson, "abstention": AbstentionJson,
//    "errors": DrugErrorsJson, "phi": [{"policy", "edit", "steps": PhiAlongJson}]}
// If prompts have a patient's slot, the last comparison is of list-grpo with itself on prompts
// without it, kWithoutPatientSlot.
// The policies are popularity, previous, logistic, knn, the encoders that the run has trained
// (micron, raremed), classifier, classifier-calibrated, list-sft
// and list-grpo (docs/method.md, Metrics). "oracle" is null if the hospital's truth is unknown.
// Fractions are in 0..1; intervals are 95 %, from a bootstrap over patients. Throws DataError if
// the split has no visit.
nlohmann::json EvaluateRun(const Config& config);
inline constexpr char kWithoutPatientSlot[] = "list-grpo, no patient slot";

// Another hospital to evaluate on.
struct TransferTarget {
  std::filesystem::path corpus;  // prepared onto the run's (flame prepare --onto)
  YearRange years;               // visits of other years are history alone
  std::filesystem::path lists;   // folder for the lists of each row; empty: none
};
// Evaluates the run's policies on all visits of the target. What is fitted or chosen, such as cuts
// and baselines, comes from the run's own training and validation visits. The contents are those of
// EvaluateRun.
nlohmann::json EvaluateTransfer(const Config& config, const TransferTarget& target);

// Returns an evaluation.json. Throws DataError naming the file if a part is missing that every
// version of the program writes.
nlohmann::json ReadEvaluation(const std::filesystem::path& file);
nlohmann::json ReadEvaluation(const Config& config);  // the run's

// Adds rows of other systems' predictions (recommend/evaluation/predictions.h) to the run's
// evaluation.json and returns that: each file is a row of its own, named by the file without its
// ending, and is compared with the best baseline, with classifier-calibrated and with list-grpo.
// Throws DataError if a file does not fit the visits, and UsageError if its name is that of another
// row.
nlohmann::json EvaluatePredictions(const Config& config,
                                   const std::vector<std::filesystem::path>& files);

// Compares two rows of the run's evaluation by the lists in their files: one comparison (Compare)
// for each metric of lists and scores that both have. Throws UsageError if the evaluation has no
// such row.
nlohmann::json CompareRows(const Config& config, const std::string& policy,
                           const std::string& baseline);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_EVALUATE_H_
