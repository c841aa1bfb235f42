// The rows of evaluation.json: one for each policy and baseline, on the same visits.
#ifndef FLAME_RECOMMEND_EVALUATION_ROWS_H_
#define FLAME_RECOMMEND_EVALUATION_ROWS_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "recommend/statistics.h"

namespace flame {

using Sets = std::vector<std::vector<int32_t>>;  // one drug set per visit

// True for the rows of the classifier and of the list policies.
bool IsLanguageModel(const std::string& policy);

// The visits to evaluate on, and the statistics over them.
struct Field {
  // Keeps a reference to the corpus. `resamples` are those of PatientStatistics.
  Field(const Corpus& corpus, std::vector<int32_t> visits, int64_t resamples, uint64_t seed);

  const Visit& At(size_t i) const { return corpus.visits[visits[i]]; }
  const std::vector<int32_t>& Truth(size_t i) const { return At(i).drugs; }
  Sets Truths() const;
  // Returns the same with only the visits at these places.
  Field Part(const std::vector<size_t>& places) const;

  const Corpus& corpus;
  std::vector<int32_t> visits;  // of the corpus
  int64_t resamples = 0;
  uint64_t seed = 0;
  PatientStatistics statistics;
};

// The scores of every drug at every visit.
struct DrugScores {
  std::string source;         // the row whose recommender made them
  std::vector<float> values;  // [visits, drugs]
  // How values become probabilities: kLogits by the logistic function, kShares as they are. kRanks
  // are no probabilities.
  enum Kind { kRanks, kLogits, kShares } kind = kRanks;

  bool probabilities() const { return !values.empty() && kind != kRanks; }
  double Probability(size_t i) const;
};

// One policy's results. values[metric] has one number per visit; comparisons pair them. Metrics:
// jaccard, precision, recall, f1, ddi and drugs (SetMetrics); prauc if there are scores, not a
// number where a visit has no drug; edits and jaccard_sampled of list policies.
struct Row {
  std::string policy;
  Sets sets;
  DrugScores scores;  // empty: none
  std::map<std::string, std::vector<double>> values;
};

Row MakeRow(const Field& field, const std::string& policy, const Sets& sets);

// Sets the row's scores and its PRAUC.
void SetScores(const Field& field, DrugScores scores, Row* row);

// Returns the row as JSON (docs/formats.md, evaluation.json): of each metric the mean over visits
// and its interval, and pooled metrics. A metric without values is null.
nlohmann::json RowJson(const Field& field, const Row& row);

// Returns {"policy", "baseline", "metric", "difference", "ci", "p"} of two rows' values of a
// metric. Visits where one of them has none do not count.
nlohmann::json Compare(const Field& field, const Row& policy, const Row& baseline,
                       const std::string& metric);

// Returns the drugs of each visit whose logit is above `offset`. `logits` is [visits, drugs].
Sets DrugsAbove(const std::vector<float>& logits, int32_t num_drugs, double offset);

// Returns the offset for the logits of the validation visits at which the mean Jaccard is highest;
// `otherwise` if there is no such visit.
double OffsetOnValidation(const Corpus& corpus, const std::vector<float>& logits, double otherwise);

// Returns the mean Jaccard at that offset; 0 if there is no validation visit.
double JaccardOnValidation(const Corpus& corpus, const std::vector<float>& logits);

// The row of a recommender with scores of the validation visits, [visits, drugs], and of the
// field's: the drugs above the offset that is best on the validation visits. `scores.source` names
// the row.
Row ScoredRow(const Field& field, const std::vector<float>& validation, DrugScores scores,
              double otherwise);

// The rows of the recommenders without a language model: popularity, previous, logistic and knn.
// The last two predict the drugs above a cut, and knn has a number of neighbours, that are best on
// the validation visits.
std::vector<Row> BaselineRows(const Field& field);

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_ROWS_H_
