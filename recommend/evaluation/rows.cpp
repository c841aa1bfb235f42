#include "recommend/evaluation/rows.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "recommend/baselines/facts.h"
#include "recommend/baselines/logistic.h"
#include "recommend/baselines/neighbours.h"
#include "recommend/baselines/simple.h"
#include "recommend/calibrate.h"
#include "recommend/metrics.h"

namespace flame {
namespace {

using nlohmann::json;

// Metrics of every row, in the order of evaluation.json.
const char* const kMetrics[] = {"jaccard", "precision", "recall",         "f1", "prauc", "ddi",
                                "drugs",   "edits",     "jaccard_sampled"};

std::vector<int32_t> PatientsOf(const Corpus& corpus, const std::vector<int32_t>& visits) {
  std::vector<int32_t> patients;
  for (const int32_t visit : visits) patients.push_back(corpus.visits[visit].patient);
  return patients;
}

Row PopularityRow(const Field& field) {
  const std::vector<float> frequency = DrugFrequencies(field.corpus);
  Row row = MakeRow(field, "popularity",
                    Sets(field.visits.size(), PopularDrugs(field.corpus, frequency)));
  DrugScores scores{"popularity", {}, DrugScores::kRanks};
  for (size_t i = 0; i < field.visits.size(); ++i) {
    scores.values.insert(scores.values.end(), frequency.begin(), frequency.end());
  }
  SetScores(field, std::move(scores), &row);
  return row;
}

Row PreviousRow(const Field& field) {
  Sets sets;
  for (const int32_t visit : field.visits) sets.push_back(PreviousDrugs(field.corpus, visit));
  return MakeRow(field, "previous", sets);
}

Calibration BestOnValidation(const Corpus& corpus, const std::vector<float>& scores) {
  Sets truth;
  for (const int32_t visit : corpus.VisitsOf(Split::kValidation)) {
    truth.push_back(corpus.visits[visit].drugs);
  }
  return BestOffset(scores, truth, corpus.drugs.size());
}

// A recommender's scores of the validation visits and of the field's, each [visits, drugs].
struct TwoScores {
  std::vector<float> validation, field;
};

// Splits the scores of the validation visits, followed by the field's.
TwoScores SplitScores(const std::vector<float>& scores, size_t num_field, int32_t num_drugs) {
  const auto middle = scores.end() - static_cast<int64_t>(num_field * num_drugs);
  return {{scores.begin(), middle}, {middle, scores.end()}};
}

}  // namespace

bool IsLanguageModel(const std::string& policy) {
  return policy.starts_with("classifier") || policy.starts_with("list-");
}

Field::Field(const Corpus& of, std::vector<int32_t> on, int64_t times, uint64_t with_seed)
    : corpus(of),
      visits(std::move(on)),
      resamples(times),
      seed(with_seed),
      statistics(PatientsOf(of, visits), times, with_seed) {}

Sets Field::Truths() const {
  Sets truths;
  for (const int32_t visit : visits) truths.push_back(corpus.visits[visit].drugs);
  return truths;
}

Field Field::Part(const std::vector<size_t>& places) const {
  std::vector<int32_t> part;
  for (const size_t place : places) part.push_back(visits[place]);
  return {corpus, std::move(part), resamples, seed};
}

double DrugScores::Probability(size_t i) const {
  const double value = values[i];
  return kind == kLogits ? 1 / (1 + std::exp(-value)) : value;
}

Row MakeRow(const Field& field, const std::string& policy, const Sets& sets) {
  Row row{policy, sets, {}, {}};
  for (size_t i = 0; i < sets.size(); ++i) {
    const SetMetrics metrics = ScoreSet(sets[i], field.Truth(i), field.corpus.ddi);
    row.values["jaccard"].push_back(metrics.jaccard);
    row.values["precision"].push_back(metrics.precision);
    row.values["recall"].push_back(metrics.recall);
    row.values["f1"].push_back(metrics.f1);
    row.values["ddi"].push_back(metrics.ddi);
    row.values["drugs"].push_back(metrics.drugs);
  }
  return row;
}

void SetScores(const Field& field, DrugScores scores, Row* row) {
  const int64_t num_drugs = field.corpus.drugs.size();
  std::vector<double>& prauc = row->values["prauc"];
  for (size_t i = 0; i < field.visits.size(); ++i) {
    const auto first = scores.values.begin() + static_cast<int64_t>(i) * num_drugs;
    prauc.push_back(field.Truth(i).empty()
                        ? std::nan("")
                        : AveragePrecision({first, first + num_drugs}, field.Truth(i)));
  }
  row->scores = std::move(scores);
}

json RowJson(const Field& field, const Row& row) {
  json fields = {{"policy", row.policy}};
  for (const char* metric : kMetrics) {
    const std::string interval = std::string(metric) + "_ci";
    const auto values = row.values.find(metric);
    if (values == row.values.end() || !HasNumber(values->second)) {
      fields[metric] = fields[interval] = nullptr;
      continue;
    }
    const Interval mean = field.statistics.Bootstrap(values->second);
    fields[metric] = mean.mean;
    fields[interval] = {mean.low, mean.high};
  }
  const PooledMetrics pooled = PoolSets(row.sets, field.Truths(), field.corpus.ddi);
  fields["jaccard_pooled"] = pooled.jaccard;
  fields["precision_pooled"] = pooled.precision;
  fields["recall_pooled"] = pooled.recall;
  fields["f1_pooled"] = pooled.f1;
  fields["ddi_pooled"] = pooled.ddi;
  fields["prauc_pooled"] = nullptr;
  if (!row.scores.values.empty()) {
    fields["prauc_pooled"] = PooledAveragePrecision(row.scores.values, field.Truths());
  }
  return fields;
}

json Compare(const Field& field, const Row& policy, const Row& baseline,
             const std::string& metric) {
  const std::vector<double>& a = policy.values.at(metric);
  const std::vector<double>& b = baseline.values.at(metric);
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  const Interval interval = field.statistics.Bootstrap(differences);
  return {{"policy", policy.policy},
          {"baseline", baseline.policy},
          {"metric", metric},
          {"difference", interval.mean},
          {"ci", {interval.low, interval.high}},
          {"p", field.statistics.PermutationP(differences)}};
}

Sets DrugsAbove(const std::vector<float>& logits, int32_t num_drugs, double offset) {
  Sets sets(logits.size() / num_drugs);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > offset) sets[i / num_drugs].push_back(static_cast<int32_t>(i % num_drugs));
  }
  return sets;
}

double OffsetOnValidation(const Corpus& corpus, const std::vector<float>& logits,
                          double otherwise) {
  return logits.empty() ? otherwise : BestOnValidation(corpus, logits).offset;
}

double JaccardOnValidation(const Corpus& corpus, const std::vector<float>& logits) {
  return logits.empty() ? 0 : BestOnValidation(corpus, logits).jaccard;
}

Row ScoredRow(const Field& field, const std::vector<float>& validation, DrugScores scores,
              double otherwise) {
  const double offset = OffsetOnValidation(field.corpus, validation, otherwise);
  Row row =
      MakeRow(field, scores.source, DrugsAbove(scores.values, field.corpus.drugs.size(), offset));
  SetScores(field, std::move(scores), &row);
  return row;
}

std::vector<Row> BaselineRows(const Field& field) {
  const Corpus& corpus = field.corpus;
  const Facts facts = FactsOf(corpus);
  const std::vector<int32_t> train = corpus.VisitsOf(Split::kTrain);
  std::vector<int32_t> asked = corpus.VisitsOf(Split::kValidation);
  asked.insert(asked.end(), field.visits.begin(), field.visits.end());
  const auto split = [&](const std::vector<float>& scores) {
    return SplitScores(scores, field.visits.size(), corpus.drugs.size());
  };
  std::vector<Row> rows = {PopularityRow(field), PreviousRow(field)};
  const TwoScores logits = split(LogisticLogits(corpus, facts, train, asked));
  rows.push_back(ScoredRow(field, logits.validation,
                           {"logistic", logits.field, DrugScores::kLogits},
                           /*otherwise=*/0));
  TwoScores best;
  double best_jaccard = -1;
  for (const auto& scores : NeighbourShares(corpus, facts, {10, 30, 100, 300}, train, asked)) {
    const TwoScores shares = split(scores);
    const double jaccard = JaccardOnValidation(corpus, shares.validation);
    if (jaccard <= best_jaccard) continue;
    best_jaccard = jaccard;
    best = shares;
  }
  rows.push_back(ScoredRow(field, best.validation, {"knn", best.field, DrugScores::kShares},
                           /*otherwise=*/0.5));
  return rows;
}

}  // namespace flame
