// Parts of evaluation.json that say how a policy is right or wrong.
#ifndef FLAME_RECOMMEND_EVALUATION_DETAILS_H_
#define FLAME_RECOMMEND_EVALUATION_DETAILS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "recommend/evaluation/rows.h"

namespace flame {

// Returns [{"policy", "ece", "brier", "log_loss", "bins": [{"low", "high", "count", "mean",
// "rate"}]}]: ReliabilityOf of every row whose own scores are probabilities, over all drugs of all
// visits.
nlohmann::json CalibrationJson(const Field& field, const std::vector<Row>& rows);

// Returns how sure a row is of the list of visit i, from its probabilities p: about the Jaccard
// that it expects, (sum of p in the list) / (size of the list + sum of p of other drugs); 0 for an
// empty list.
double Sureness(const Row& row, size_t i);

// Returns [{"policy", "levels": [{"coverage", "num_visits", "jaccard"}]}]: the mean Jaccard of the
// visits that a row is most sure of, at coverages 1, 0.9, ..., 0.1, as if a physician wrote the
// other lists. Only rows with probabilities. Of equally sure visits the first come first.
nlohmann::json AbstentionJson(const Field& field, const std::vector<Row>& rows);

// Returns [{"policy", "wrong": [{"drug", "name", "count", "of"}], "missed": [...]}]: the drugs that
// a row most often lists wrongly, of `of` times that it lists them, and most often misses, of `of`
// times that they were given. At most `most` of each, the most frequent first.
nlohmann::json DrugErrorsJson(const Field& field, const std::vector<Row>& rows, size_t most = 10);

// Returns [{"step", "lists", "phi"}] of lists with states phi[list][0..]: at each step the number
// of lists that have it, and the mean phi of all lists, those that have ended at their last state.
// At most kMaxPhiSteps steps.
nlohmann::json PhiAlongJson(const std::vector<std::vector<float>>& phi);
inline constexpr size_t kMaxPhiSteps = 50;

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_DETAILS_H_
