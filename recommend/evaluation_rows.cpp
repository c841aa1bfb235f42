#include "recommend/evaluation_rows.h"

#include <algorithm>
#include <numeric>

#include "recommend/baselines/facts.h"
#include "recommend/baselines/logistic.h"
#include "recommend/baselines/neighbours.h"
#include "recommend/baselines/simple.h"
#include "recommend/calibrate.h"

namespace flame {
namespace {

using nlohmann::json;

double PooledDdi(const Sets& sets, const DdiGraph& ddi) {
  double harmful = 0, pairs = 0;
  for (const auto& set : sets) {
    const double count = static_cast<double>(set.size());
    pairs += count * (count - 1) / 2;
    harmful += ddi.Rate(set) * count * (count - 1) / 2;
  }
  return pairs > 0 ? harmful / pairs : 0;
}

Row PopularityRow(const Field& field) {
  const std::vector<float> frequency = DrugFrequencies(field.corpus);
  Row row = MakeRow(field, "popularity",
                    Sets(field.visits.size(), PopularDrugs(field.corpus, frequency)));
  std::vector<float> scores;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    scores.insert(scores.end(), frequency.begin(), frequency.end());
  }
  SetPrauc(field, scores, &row);
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

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Row MakeRow(const Field& field, const std::string& policy, const Sets& sets) {
  Row row;
  row.policy = policy;
  row.sets = sets;
  std::vector<double> precision, recall, f1, ddi, drugs;
  for (size_t i = 0; i < sets.size(); ++i) {
    const SetMetrics metrics = ScoreSet(sets[i], field.Truth(i), field.corpus.ddi);
    row.jaccard.push_back(metrics.jaccard);
    precision.push_back(metrics.precision);
    recall.push_back(metrics.recall);
    f1.push_back(metrics.f1);
    ddi.push_back(metrics.ddi);
    drugs.push_back(metrics.drugs);
  }
  const Interval interval = field.Bootstrap(row.jaccard);
  row.fields = {{"policy", policy},
                {"jaccard", interval.mean},
                {"jaccard_ci", {interval.low, interval.high}},
                {"precision", Mean(precision)},
                {"recall", Mean(recall)},
                {"f1", Mean(f1)},
                {"prauc", nullptr},
                {"ddi", Mean(ddi)},
                {"ddi_pooled", PooledDdi(sets, field.corpus.ddi)},
                {"drugs", Mean(drugs)},
                {"edits", nullptr},
                {"jaccard_sampled", nullptr}};
  return row;
}

void SetPrauc(const Field& field, const std::vector<float>& scores, Row* row) {
  const int64_t num_drugs = field.corpus.drugs.size();
  std::vector<double> values;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    if (field.Truth(i).empty()) continue;
    const auto first = scores.begin() + static_cast<int64_t>(i) * num_drugs;
    values.push_back(AveragePrecision({first, first + num_drugs}, field.Truth(i)));
  }
  row->fields["prauc"] = values.empty() ? 0 : Mean(values);
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

Row ScoredRow(const Field& field, const std::string& policy, const std::vector<float>& validation,
              const std::vector<float>& scores, double otherwise) {
  const double offset = OffsetOnValidation(field.corpus, validation, otherwise);
  Row row = MakeRow(field, policy, DrugsAbove(scores, field.corpus.drugs.size(), offset));
  SetPrauc(field, scores, &row);
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
  rows.push_back(ScoredRow(field, "logistic", logits.validation, logits.field, /*otherwise=*/0));
  TwoScores best;
  double best_jaccard = -1;
  for (const auto& scores : NeighbourShares(corpus, facts, {10, 30, 100, 300}, train, asked)) {
    const TwoScores shares = split(scores);
    const double jaccard = JaccardOnValidation(corpus, shares.validation);
    if (jaccard <= best_jaccard) continue;
    best_jaccard = jaccard;
    best = shares;
  }
  rows.push_back(ScoredRow(field, "knn", best.validation, best.field, /*otherwise=*/0.5));
  return rows;
}

}  // namespace flame
