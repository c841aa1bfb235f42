#include "launch/run/evaluate.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "base/error.h"
#include "launch/run/base_model.h"
#include "launch/run/run_materials.h"
#include "launch/run/run_paths.h"
#include "recommend/baselines.h"
#include "recommend/calibrate.h"
#include "recommend/classify.h"
#include "recommend/list_inference.h"
#include "recommend/metrics.h"

namespace flame {
namespace {

using nlohmann::json;
using Sets = std::vector<std::vector<int32_t>>;  // one drug set per visit

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The visits to evaluate on, and the data that rows are computed from.
struct Field {
  const Config& config;
  const Corpus& corpus;
  std::vector<int32_t> visits, patients;

  const std::vector<int32_t>& Truth(size_t i) const { return corpus.visits[visits[i]].drugs; }
  Interval Bootstrap(const std::vector<double>& values) const {
    return BootstrapMean(values, patients, config.evaluate.bootstrap, config.run.seed);
  }
};

// One policy's results; comparisons pair its values visit by visit.
struct Row {
  std::string policy;
  std::vector<double> jaccard, jaccard_sampled;
  json fields;
};

double PooledDdi(const Sets& sets, const DdiGraph& ddi) {
  double harmful = 0, pairs = 0;
  for (const auto& set : sets) {
    const double count = static_cast<double>(set.size());
    pairs += count * (count - 1) / 2;
    harmful += ddi.Rate(set) * count * (count - 1) / 2;
  }
  return pairs > 0 ? harmful / pairs : 0;
}

Row MakeRow(const Field& field, const std::string& policy, const Sets& sets) {
  Row row;
  row.policy = policy;
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

template <class ScoresOf>
double MeanPrauc(const Field& field, const ScoresOf& scores_of) {
  std::vector<double> values;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    if (field.Truth(i).empty()) continue;
    values.push_back(AveragePrecision(scores_of(i), field.Truth(i)));
  }
  return values.empty() ? 0 : Mean(values);
}

Row PopularityRow(const Field& field) {
  const std::vector<float> frequency = DrugFrequencies(field.corpus);
  const Sets sets(field.visits.size(), PopularDrugs(field.corpus, frequency));
  Row row = MakeRow(field, "popularity", sets);
  row.fields["prauc"] =
      MeanPrauc(field, [&](size_t) -> const std::vector<float>& { return frequency; });
  return row;
}

Row PreviousRow(const Field& field) {
  Sets sets;
  for (const int32_t visit : field.visits) sets.push_back(PreviousDrugs(field.corpus, visit));
  return MakeRow(field, "previous", sets);
}

// Loads a policy with adapters merged and slots as rows of the embedding table: a frozen policy
// needs no projectors.
Policy LoadFrozen(const Config& config, const std::filesystem::path& folder) {
  Policy policy = OpenModel(config, folder);
  policy.MergeAdapters();
  policy = policy.MaterializeEntities();
  policy.ReadStored();
  return policy;
}

ListInferenceOptions InferenceOptions(const Config& config, double temperature, int64_t samples) {
  ListInferenceOptions options;
  options.sampling.temperature = temperature;
  options.sampling.group_size = samples;
  options.sampling.max_tokens = config.grpo.sampling.max_tokens;
  options.sampling.constrain = config.grpo.sampling.constrain;
  options.reward = config.reward;
  options.seed = config.run.seed + 1;
  return options;
}

Row ListRow(const Field& field, const Materials& materials, const std::string& policy_name,
            const std::filesystem::path& folder, const Sets& inputs) {
  Policy policy = LoadFrozen(field.config, folder);
  const ListPredictions greedy =
      PredictLists(InferenceOptions(field.config, 0, 1), materials, &policy, field.visits, inputs,
                   policy_name + " greedy");
  Sets sets;
  std::vector<double> edits;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    sets.push_back(greedy.sets[i][0]);
    edits.push_back(static_cast<double>(greedy.edits[i][0]));
  }
  Row row = MakeRow(field, policy_name, sets);
  row.fields["edits"] = Mean(edits);
  const ListPredictions sampled =
      PredictLists(InferenceOptions(field.config, 1, field.config.evaluate.samples), materials,
                   &policy, field.visits, inputs, policy_name + " sampled");
  for (size_t i = 0; i < field.visits.size(); ++i) {
    std::vector<double> values;
    for (const auto& set : sampled.sets[i]) values.push_back(Jaccard(set, field.Truth(i)));
    row.jaccard_sampled.push_back(Mean(values));
  }
  row.fields["jaccard_sampled"] = Mean(row.jaccard_sampled);
  return row;
}

json Compare(const Field& field, const Row& policy, const Row& baseline, const char* metric,
             const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> differences(a.size());
  for (size_t i = 0; i < a.size(); ++i) differences[i] = a[i] - b[i];
  const Interval interval = field.Bootstrap(differences);
  return {{"policy", policy.policy},
          {"baseline", baseline.policy},
          {"metric", metric},
          {"difference", interval.mean},
          {"ci", {interval.low, interval.high}}};
}

json Truth(const Field& field) {
  std::vector<double> ddi, drugs;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    ddi.push_back(field.corpus.ddi.Rate(field.Truth(i)));
    drugs.push_back(static_cast<double>(field.Truth(i).size()));
  }
  return {{"ddi", Mean(ddi)}, {"drugs", Mean(drugs)}};
}

json Oracle(const Field& field) {
  std::vector<double> list, threshold;
  for (const int32_t visit : field.visits) {
    list.push_back(field.corpus.visits[visit].oracle_list);
    threshold.push_back(field.corpus.visits[visit].oracle_threshold);
  }
  if (*std::min_element(list.begin(), list.end()) < 0) return nullptr;
  return {{"list", Mean(list)}, {"threshold", Mean(threshold)}};
}

Field MakeField(const Config& config, const Corpus& corpus) {
  const Split split = config.evaluate.split == "test" ? Split::kTest : Split::kValidation;
  Field field{config, corpus, corpus.VisitsOf(split), {}};
  if (field.visits.empty()) {
    throw DataError(RunPaths(config.run.dir).corpus().string(), ": no visit in the ",
                    config.evaluate.split, " split; expected at least one (data.split)");
  }
  for (const int32_t visit : field.visits) field.patients.push_back(corpus.visits[visit].patient);
  return field;
}

}  // namespace

json EvaluateRun(const Config& config) {
  const RunPaths paths(config.run.dir);
  const auto materials = MaterialsOfRun(config);
  const Field field = MakeField(config, materials->corpus);
  const int32_t num_drugs = materials->corpus.drugs.size();
  const Scores scores = ClassifyVisits(LoadFrozen(config, paths.classifier()), *materials->prompts,
                                       num_drugs, field.visits, ReadThreshold(paths.classifier()),
                                       config.classifier.token_budget, "classifier");
  Sets predicted;
  for (size_t i = 0; i < field.visits.size(); ++i) {
    predicted.push_back(scores.Predicted(static_cast<int64_t>(i), num_drugs));
  }
  std::vector<Row> rows;
  rows.push_back(PopularityRow(field));
  rows.push_back(PreviousRow(field));
  rows.push_back(MakeRow(field, "classifier", predicted));
  rows.push_back(ListRow(field, *materials, "list-sft", paths.list(), predicted));
  rows.push_back(ListRow(field, *materials, "list-grpo", paths.grpo(), predicted));
  const double prauc = MeanPrauc(field, [&](size_t i) {
    const auto row = scores.yes.begin() + static_cast<int64_t>(i) * num_drugs;
    return std::vector<float>(row, row + num_drugs);
  });
  for (size_t i = 2; i < rows.size(); ++i) rows[i].fields["prauc"] = prauc;

  json result = {{"split", config.evaluate.split}, {"num_visits", field.visits.size()},
                 {"truth", Truth(field)},          {"oracle", Oracle(field)},
                 {"rows", json::array()},          {"comparisons", json::array()}};
  for (const Row& row : rows) result["rows"].push_back(row.fields);
  const Row &classifier = rows[2], &sft = rows[3], &grpo = rows[4];
  json& comparisons = result["comparisons"];
  comparisons.push_back(
      Compare(field, sft, classifier, "jaccard", sft.jaccard, classifier.jaccard));
  comparisons.push_back(Compare(field, grpo, sft, "jaccard", grpo.jaccard, sft.jaccard));
  comparisons.push_back(
      Compare(field, grpo, sft, "jaccard_sampled", grpo.jaccard_sampled, sft.jaccard_sampled));
  return result;
}

std::string EvaluationTable(const json& evaluation) {
  std::string table;
  char line[256];
  const auto number = [](const json& value, const char* format) {
    if (value.is_null()) return std::string("-");
    char text[32];
    std::snprintf(text, sizeof text, format, value.get<double>());
    return std::string(text);
  };
  std::snprintf(line, sizeof line, "%-11s %8s %16s %8s %7s %7s %7s %6s %6s\n", "policy", "jaccard",
                "95 % interval", "sampled", "f1", "prauc", "ddi", "drugs", "edits");
  table += line;
  for (const json& row : evaluation.at("rows")) {
    const std::string interval = "[" + number(row.at("jaccard_ci")[0], "%.4f") + ", " +
                                 number(row.at("jaccard_ci")[1], "%.4f") + "]";
    std::snprintf(line, sizeof line, "%-11s %8s %16s %8s %7s %7s %7s %6s %6s\n",
                  row.at("policy").get<std::string>().c_str(),
                  number(row.at("jaccard"), "%.4f").c_str(), interval.c_str(),
                  number(row.at("jaccard_sampled"), "%.4f").c_str(),
                  number(row.at("f1"), "%.4f").c_str(), number(row.at("prauc"), "%.4f").c_str(),
                  number(row.at("ddi"), "%.4f").c_str(), number(row.at("drugs"), "%.2f").c_str(),
                  number(row.at("edits"), "%.2f").c_str());
    table += line;
  }
  const json& truth = evaluation.at("truth");
  table += StrCat("truth: DDI rate ", number(truth.at("ddi"), "%.4f"), ", ",
                  number(truth.at("drugs"), "%.2f"), " drugs a visit; ",
                  evaluation.at("num_visits").get<int64_t>(), " ",
                  evaluation.at("split").get<std::string>(), " visits\n");
  if (!evaluation.at("oracle").is_null()) {
    table += StrCat("ceiling: best list ", number(evaluation["oracle"]["list"], "%.4f"),
                    ", every drug with P > 0.5 ", number(evaluation["oracle"]["threshold"], "%.4f"),
                    "\n");
  }
  for (const json& item : evaluation.at("comparisons")) {
    table += StrCat(
        item.at("policy").get<std::string>(), " - ", item.at("baseline").get<std::string>(), ", ",
        item.at("metric").get<std::string>(), ": ", number(item.at("difference"), "%+.4f"), " [",
        number(item["ci"][0], "%+.4f"), ", ", number(item["ci"][1], "%+.4f"), "]\n");
  }
  table += "Research software: not for treating patients.\n";
  return table;
}

}  // namespace flame
