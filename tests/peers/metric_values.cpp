// metric_values < CASE.json
//
// Scores made-up predictions, for comparison with scikit-learn and scipy. CASE.json is {"ddi": [[a,
// b], ...], "num_drugs", "resamples", "seed", "visits": [{"patient", "truth", "predicted", "other",
// "scores"}]}; "predicted" and "other" are the lists of two policies, "scores" the probabilities of
// all drugs. Prints {"values": {metric: [visit]}, "row": RowJson, "comparison": Compare,
// "calibration": CalibrationJson, "abstention": AbstentionJson, "errors": DrugErrorsJson}.
#include <iostream>
#include <nlohmann/json.hpp>
#include <vector>

#include "data/corpus.h"
#include "recommend/evaluation/details.h"
#include "recommend/evaluation/rows.h"

namespace flame {
namespace {

using nlohmann::json;

Corpus CorpusOf(const json& given) {
  Corpus corpus;
  const auto num_drugs = given.at("num_drugs").get<int32_t>();
  for (int32_t drug = 0; drug < num_drugs; ++drug) {
    corpus.drugs.codes.push_back("D" + std::to_string(drug));
    corpus.drugs.titles.push_back("drug " + std::to_string(drug));
  }
  corpus.ddi = DdiGraph(num_drugs);
  for (const json& pair : given.at("ddi")) corpus.ddi.Add(pair.at(0), pair.at(1));
  for (const json& visit : given.at("visits")) {
    Visit made;
    made.patient = visit.at("patient");
    made.drugs = visit.at("truth").get<std::vector<int32_t>>();
    made.split = Split::kTest;
    corpus.visits.push_back(made);
  }
  return corpus;
}

Row RowOf(const Field& field, const json& given, const char* list, DrugScores::Kind kind) {
  Sets sets;
  DrugScores scores{list, {}, kind};
  for (const json& visit : given.at("visits")) {
    sets.push_back(visit.at(list).get<std::vector<int32_t>>());
    for (const json& score : visit.at("scores")) scores.values.push_back(score.get<float>());
  }
  Row row = MakeRow(field, list, sets);
  SetScores(field, scores, &row);
  return row;
}

json Run(const json& given) {
  const Corpus corpus = CorpusOf(given);
  const Field field(corpus, corpus.VisitsOf(Split::kTest), given.at("resamples"), given.at("seed"));
  const std::vector<Row> rows = {RowOf(field, given, "predicted", DrugScores::kShares),
                                 RowOf(field, given, "other", DrugScores::kRanks)};
  return {{"values", rows[0].values},
          {"row", RowJson(field, rows[0])},
          {"comparison", Compare(field, rows[0], rows[1], "jaccard")},
          {"calibration", CalibrationJson(field, rows)},
          {"abstention", AbstentionJson(field, rows)},
          {"errors", DrugErrorsJson(field, rows)}};
}

}  // namespace
}  // namespace flame

int main() {
  std::cout << flame::Run(nlohmann::json::parse(std::cin)) << "\n";
  return 0;
}
