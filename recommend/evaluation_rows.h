// The rows of evaluation.json: one for each policy and baseline, on the same visits.
#ifndef FLAME_RECOMMEND_EVALUATION_ROWS_H_
#define FLAME_RECOMMEND_EVALUATION_ROWS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/corpus.h"
#include "recommend/metrics.h"

namespace flame {

using Sets = std::vector<std::vector<int32_t>>;  // one drug set per visit

double Mean(const std::vector<double>& values);

// The visits to evaluate on, and the data that rows are computed from.
struct Field {
  const Corpus& corpus;
  std::vector<int32_t> visits, patients;
  int64_t resamples = 0;  // of the bootstrap
  uint64_t seed = 0;

  const std::vector<int32_t>& Truth(size_t i) const { return corpus.visits[visits[i]].drugs; }
  Interval Bootstrap(const std::vector<double>& values) const {
    return BootstrapMean(values, patients, resamples, seed);
  }
};

// One policy's results; comparisons pair its values visit by visit.
struct Row {
  std::string policy;
  Sets sets;
  std::vector<double> jaccard, jaccard_sampled;
  nlohmann::json fields;
};

Row MakeRow(const Field& field, const std::string& policy, const Sets& sets);

// Sets the row's PRAUC. `scores` is [visits, drugs]; only their order counts.
void SetPrauc(const Field& field, const std::vector<float>& scores, Row* row);

// Returns the drugs of each visit whose logit is above `offset`. `logits` is [visits, drugs].
Sets DrugsAbove(const std::vector<float>& logits, int32_t num_drugs, double offset);

// Returns the offset for the logits of the validation visits at which the mean Jaccard is highest;
// `otherwise` if there is no such visit.
double OffsetOnValidation(const Corpus& corpus, const std::vector<float>& logits, double otherwise);

// Returns the mean Jaccard at that offset; 0 if there is no validation visit.
double JaccardOnValidation(const Corpus& corpus, const std::vector<float>& logits);

// The row of a recommender with scores of the validation visits and of the field's, each [visits,
// drugs]: the drugs above the offset that is best on the validation visits.
Row ScoredRow(const Field& field, const std::string& policy, const std::vector<float>& validation,
              const std::vector<float>& scores, double otherwise);

// The rows of the recommenders without a language model: popularity, previous, logistic and knn.
// The last two predict the drugs above a cut, and knn has a number of neighbours, that are best on
// the validation visits.
std::vector<Row> BaselineRows(const Field& field);

}  // namespace flame

#endif  // FLAME_RECOMMEND_EVALUATION_ROWS_H_
