#include "launch/run/evaluate.h"

#include <algorithm>
#include <cstdio>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/transfer.h"
#include "launch/config/run_paths.h"
#include "launch/run/base_model.h"
#include "launch/run/encode.h"
#include "launch/run/list_order.h"
#include "launch/run/run_materials.h"
#include "recommend/calibrate.h"
#include "recommend/classify.h"
#include "recommend/encoder_rows.h"
#include "recommend/evaluation_rows.h"
#include "recommend/list_inference.h"
#include "recommend/metrics.h"
#include "recommend/predictions.h"

namespace flame {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

// Loads a policy with adapters merged and slots as rows of the embedding table: a frozen policy
// needs no projectors.
Policy LoadFrozen(const Config& config, const Corpus& corpus, const fs::path& folder) {
  Policy policy = OpenModel(config, corpus, folder);
  policy.MergeAdapters();
  policy = policy.MaterializeEntities();
  policy.ReadStored();
  return policy;
}

ListInferenceOptions InferenceOptions(const Config& config) {
  ListInferenceOptions options;
  options.sampling.group_size = config.evaluate.samples;
  options.sampling.max_tokens = config.grpo.sampling.max_tokens;
  options.sampling.constrain = config.grpo.sampling.constrain;
  options.reward = config.reward;
  options.seed = config.run.seed + 1;
  return options;
}

Row ListRow(const Config& config, const Field& field, const Materials& materials,
            const std::string& policy_name, const std::filesystem::path& folder, Sets inputs) {
  OrderLists(config, field.corpus, field.visits, &inputs);
  Policy policy = LoadFrozen(config, field.corpus, folder);
  const ListPredictions predictions =
      PredictLists(InferenceOptions(config), materials, &policy, field.visits, inputs, policy_name);
  Row row = MakeRow(field, policy_name, predictions.greedy);
  row.fields["edits"] = Mean({predictions.edits.begin(), predictions.edits.end()});
  for (size_t i = 0; i < field.visits.size(); ++i) {
    std::vector<double> values;
    for (const auto& set : predictions.sampled[i]) values.push_back(Jaccard(set, field.Truth(i)));
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

// Compares the lists with the classifier's answers, with each other and with the best of the
// `num_simple` rows before them.
json Comparisons(const Field& field, const std::vector<Row>& rows, size_t num_simple) {
  const Row &sft = rows[num_simple], &grpo = rows[num_simple + 1];
  const auto best = std::max_element(
      rows.begin(), rows.begin() + static_cast<int64_t>(num_simple),
      [](const Row& a, const Row& b) { return Mean(a.jaccard) < Mean(b.jaccard); });
  json comparisons = json::array();
  for (const Row* list : {&sft, &grpo}) {
    for (size_t i = 0; i < num_simple; ++i) {
      const Row& row = rows[i];
      const bool always = row.policy == "logistic" || row.policy.starts_with("classifier");
      if (always || &row == &*best) {
        comparisons.push_back(Compare(field, *list, row, "jaccard", list->jaccard, row.jaccard));
      }
    }
  }
  comparisons.push_back(Compare(field, grpo, sft, "jaccard", grpo.jaccard, sft.jaccard));
  comparisons.push_back(
      Compare(field, grpo, sft, "jaccard_sampled", grpo.jaccard_sampled, sft.jaccard_sampled));
  return comparisons;
}

// The classifier's answers for the field's visits.
struct ClassifierAnswers {
  std::vector<float> logits;  // [visits, drugs]
  double offset = 0;          // that its lists are made with
  double best_offset = 0;     // the best on the validation visits
};

ClassifierAnswers Classify(const Config& config, const Field& field, const Materials& materials) {
  const auto folder = RunPaths(config.run.dir).classifier();
  const Policy policy = LoadFrozen(config, field.corpus, folder);
  const auto logits_of = [&](const std::vector<int32_t>& visits, const char* label) {
    return ClassifierLogits(policy, *materials.prompts, field.corpus.drugs.size(), visits,
                            config.classifier.token_budget, label);
  };
  ClassifierAnswers answers;
  answers.logits = logits_of(field.visits, "classifier");
  answers.offset = ReadThreshold(folder);
  answers.best_offset = OffsetOnValidation(
      field.corpus, logits_of(field.corpus.VisitsOf(Split::kValidation), "classifier-calibrated"),
      answers.offset);
  return answers;
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

Field MakeField(const Config& config, const Corpus& corpus, const std::string& split) {
  Field field{corpus,
              corpus.VisitsOf(split == "test" ? Split::kTest : Split::kValidation),
              {},
              config.evaluate.bootstrap,
              static_cast<uint64_t>(config.run.seed)};
  if (field.visits.empty()) {
    throw DataError(RunPaths(config.run.dir).corpus().string(), ": no visit in the ", split,
                    " split; expected at least one (data.split)");
  }
  for (const int32_t visit : field.visits) field.patients.push_back(corpus.visits[visit].patient);
  return field;
}

// Returns the rows of the baselines, the classifier and the list policies. The last two are those
// of the list policies.
std::vector<Row> PolicyRows(const Config& config, const Field& field, const Materials& materials) {
  const RunPaths paths(config.run.dir);
  const int32_t num_drugs = materials.corpus.drugs.size();
  std::vector<Row> rows = BaselineRows(field);
  const TrainedEncoders encoders = LoadEncoders(config, field.corpus);
  if (encoders.micron) rows.push_back(MicronRow(field, *encoders.micron));
  if (encoders.raremed) rows.push_back(RaremedRow(field, *encoders.raremed));
  const ClassifierAnswers answers = Classify(config, field, materials);
  const Sets predicted = DrugsAbove(answers.logits, num_drugs, answers.offset);
  rows.push_back(MakeRow(field, "classifier", DrugsAbove(answers.logits, num_drugs, 0)));
  rows.push_back(MakeRow(field, "classifier-calibrated",
                         DrugsAbove(answers.logits, num_drugs, answers.best_offset)));
  rows.push_back(ListRow(config, field, materials, "list-sft", paths.list(), predicted));
  rows.push_back(ListRow(config, field, materials, "list-grpo", paths.grpo(), predicted));
  for (size_t i = rows.size() - 4; i < rows.size(); ++i) SetPrauc(field, answers.logits, &rows[i]);
  return rows;
}

// Compares the trained policy with itself on prompts without the patient's slot: a server that has
// no encoder gets these. Null if there is no such slot.
json PatientSlot(const Config& config, const Field& field, const Row& trained) {
  if (config.encoders.patient == "none") return nullptr;
  const RunPaths paths(config.run.dir);
  const auto materials = MaterialsOfRun(config, field.corpus, /*patient_slot=*/false);
  const std::vector<float> logits = ClassifierLogits(
      LoadFrozen(config, field.corpus, paths.classifier()), *materials->prompts,
      field.corpus.drugs.size(), field.visits, config.classifier.token_budget, "no patient slot");
  const Sets predicted =
      DrugsAbove(logits, field.corpus.drugs.size(), ReadThreshold(paths.classifier()));
  const Row without =
      ListRow(config, field, *materials, kWithoutPatientSlot, paths.grpo(), predicted);
  return Compare(field, trained, without, "jaccard", trained.jaccard, without.jaccard);
}

json EvaluationOf(const Config& config, const Field& field, const std::string& split,
                  const std::vector<Row>& rows) {
  json result = {{"split", split},
                 {"num_visits", field.visits.size()},
                 {"hospital", field.corpus.hospital},
                 {"diagnoses", field.corpus.diagnoses_known},
                 {"truth", Truth(field)},
                 {"oracle", Oracle(field)},
                 {"rows", json::array()},
                 {"comparisons", json::array()}};
  for (const Row& row : rows) result["rows"].push_back(row.fields);
  result["comparisons"] = Comparisons(field, rows, rows.size() - 2);
  const json slot = PatientSlot(config, field, rows.back());
  if (!slot.is_null()) result["comparisons"].push_back(slot);
  return result;
}

// The lists of a row of evaluation.json, for comparison.
Row RowOfRun(const Config& config, const Field& field, const std::string& policy) {
  const fs::path file = RunPaths(config.run.dir).predictions(policy);
  return MakeRow(field, policy, ReadPredictions(file, field.corpus, field.visits).drugs);
}

// Returns the rows to compare other systems with: the best baseline, the calibrated classifier and
// the trained policy.
std::vector<Row> Yardsticks(const Config& config, const Field& field, const json& rows) {
  std::string best;
  double highest = -1;
  for (const json& row : rows) {
    const auto policy = row.at("policy").get<std::string>();
    if (policy.starts_with("classifier") || policy.starts_with("list-")) continue;
    if (row.at("jaccard").get<double>() <= highest) continue;
    highest = row.at("jaccard").get<double>();
    best = policy;
  }
  return {RowOfRun(config, field, best), RowOfRun(config, field, "classifier-calibrated"),
          RowOfRun(config, field, "list-grpo")};
}

}  // namespace

json EvaluateRun(const Config& config) {
  const auto materials = MaterialsOfRun(config);
  const Field field = MakeField(config, materials->corpus, config.evaluate.split);
  const std::vector<Row> rows = PolicyRows(config, field, *materials);
  for (const Row& row : rows) {
    WritePredictions(RunPaths(config.run.dir).predictions(row.policy), field.corpus, field.visits,
                     row.sets);
  }
  return EvaluationOf(config, field, config.evaluate.split, rows);
}

json EvaluateTransfer(const Config& config, const fs::path& other, const YearRange& years) {
  const Corpus joint =
      OntoTrained(ReadCorpus(RunPaths(config.run.dir).corpus()), ReadCorpus(other), other, years);
  const auto materials = MaterialsOfRun(config, joint);
  const Field field = MakeField(config, materials->corpus, "test");
  return EvaluationOf(config, field, "test", PolicyRows(config, field, *materials));
}

json ReadEvaluation(const Config& config) {
  const fs::path file = RunPaths(config.run.dir).evaluation();
  json evaluation = json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  if (!evaluation.is_object()) {
    throw DataError(file.string(), ": expected a JSON object; delete the file to evaluate again");
  }
  return evaluation;
}

json EvaluatePredictions(const Config& config, const std::vector<fs::path>& files) {
  json result = ReadEvaluation(config);
  const Corpus corpus = ReadCorpus(RunPaths(config.run.dir).corpus());
  const Field field = MakeField(config, corpus, config.evaluate.split);
  const std::vector<Row> yardsticks = Yardsticks(config, field, result.at("rows"));
  result["comparisons"] = json::array();
  for (const fs::path& file : files) {
    const std::string name = file.stem().string();
    for (const json& row : result.at("rows")) {
      if (row.at("policy") != name) continue;
      throw UsageError(file.string(), ": the evaluation has a row ", name,
                       " already; expected another file name");
    }
    const Predictions predictions = ReadPredictions(file, corpus, field.visits);
    Row row = MakeRow(field, name, predictions.drugs);
    if (!predictions.scores.empty()) SetPrauc(field, predictions.scores, &row);
    result["rows"].push_back(row.fields);
    for (const Row& other : yardsticks) {
      result["comparisons"].push_back(
          Compare(field, row, other, "jaccard", row.jaccard, other.jaccard));
    }
  }
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
  std::snprintf(line, sizeof line, "%-21s %8s %16s %8s %7s %7s %7s %6s %6s\n", "policy", "jaccard",
                "95 % interval", "sampled", "f1", "prauc", "ddi", "drugs", "edits");
  table += line;
  for (const json& row : evaluation.at("rows")) {
    const std::string interval = "[" + number(row.at("jaccard_ci")[0], "%.4f") + ", " +
                                 number(row.at("jaccard_ci")[1], "%.4f") + "]";
    std::snprintf(line, sizeof line, "%-21s %8s %16s %8s %7s %7s %7s %6s %6s\n",
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
