// Results by group of visits, and on what is rare.
#ifndef FLAME_RECOMMEND_EVALUATION_SUBGROUPS_H_
#define FLAME_RECOMMEND_EVALUATION_SUBGROUPS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "recommend/evaluation/rows.h"

namespace flame {

// The rare items of a vocabulary: the least frequent ones in the training visits, of equally
// frequent ones those with the lower index first, as long as all of them together are at most this
// share of what those visits have. Items of no training visit are rare.
inline constexpr double kRareShare = 0.1;
std::vector<char> RareItems(const std::vector<int64_t>& counts);

// Visits that have something in common.
struct VisitGroup {
  std::string by, value;       // "age", "45 to 64"
  std::vector<size_t> places;  // in Field::visits, ascending
};
// Groups the visits by:
//   visit           the patient's first visit, the second, later ones
//   age             below 45, 45 to 64, 65 to 79, 80 and above
//   sex             F, M, unknown
//   drugs           prescribed: 0 to 5, 6 to 10, 11 to 20, above 20
//   rare drug       whether a rare one was prescribed
//   rare diagnosis  whether the patient has a rare one
// Groups without a visit are left out.
std::vector<VisitGroup> GroupsOf(const Field& field);

// Fewer patients give no interval: resamples of them hardly differ.
inline constexpr int64_t kFewPatients = 10;

// Returns the number of patients of the field's visits.
int64_t NumPatients(const Field& field);

// Returns [{"by", "value", "num_visits", "num_patients", "truth": {"ddi", "drugs"}, "rows":
// [{"policy", "jaccard", "jaccard_ci", "precision", "recall", "ddi", "drugs"}]}]; jaccard_ci is
// null below kFewPatients.
nlohmann::json SubgroupsJson(const Field& field, const std::vector<Row>& rows);

// Returns {"drugs", "of", "rows": [{"policy", "listed", "given", "right", "precision", "recall"}]}:
// how many of the drugs are rare, and the rare ones that each row lists, that were given, and both,
// over all visits. A share of none is null.
nlohmann::json RareDrugsJson(const Field& field, const std::vector<Row>& rows);

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_SUBGROUPS_H_
