#include "launch/run/evaluate.h"

#include <algorithm>
#include <utility>

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
#include "recommend/evaluation/details.h"
#include "recommend/evaluation/encoder_rows.h"
#include "recommend/evaluation/predictions.h"
#include "recommend/evaluation/rows.h"
#include "recommend/evaluation/subgroups.h"
#include "recommend/list_inference.h"
#include "recommend/metrics.h"

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

// The rows of a run, and phi along the lists of the list policies (docs/formats.md).
struct PolicyResults {
  std::vector<Row> rows;  // the last two are those of the list policies
  json phi = json::array();
};

// Appends the row of a list policy that edits `inputs`.
void AddListRow(const Config& config, const Field& field, const Materials& materials,
                const std::string& policy_name, const fs::path& folder, Sets inputs,
                PolicyResults* results) {
  OrderLists(config, field.corpus, field.visits, &inputs);
  Policy policy = LoadFrozen(config, field.corpus, folder);
  const ListPredictions predictions =
      PredictLists(InferenceOptions(config), materials, &policy, field.visits, inputs, policy_name);
  Row row = MakeRow(field, policy_name, predictions.greedy);
  row.values["edits"] = {predictions.edits.begin(), predictions.edits.end()};
  for (size_t i = 0; i < field.visits.size(); ++i) {
    std::vector<double> values;
    for (const auto& set : predictions.sampled[i]) values.push_back(Jaccard(set, field.Truth(i)));
    row.values["jaccard_sampled"].push_back(Mean(values));
  }
  results->rows.push_back(std::move(row));
  for (const auto& [edit, phi] :
       {std::pair("add", &predictions.phi_add), std::pair("remove", &predictions.phi_remove)}) {
    results->phi.push_back(
        {{"policy", policy_name}, {"edit", edit}, {"steps", PhiAlongJson(*phi)}});
  }
}

// Compares the lists with the classifier's answers, with each other and with the best of the
// `num_simple` rows before them.
json Comparisons(const Field& field, const std::vector<Row>& rows, size_t num_simple) {
  const Row &sft = rows[num_simple], &grpo = rows[num_simple + 1];
  const auto best =
      std::max_element(rows.begin(), rows.begin() + static_cast<int64_t>(num_simple),
                       [](const Row& a, const Row& b) {
                         return Mean(a.values.at("jaccard")) < Mean(b.values.at("jaccard"));
                       });
  json comparisons = json::array();
  for (const Row* list : {&sft, &grpo}) {
    for (size_t i = 0; i < num_simple; ++i) {
      const Row& row = rows[i];
      const bool always = row.policy == "logistic" || row.policy.starts_with("classifier");
      if (always || &row == &*best) comparisons.push_back(Compare(field, *list, row, "jaccard"));
    }
  }
  comparisons.push_back(Compare(field, grpo, sft, "jaccard"));
  comparisons.push_back(Compare(field, grpo, sft, "jaccard_sampled"));
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
  std::vector<int32_t> visits =
      corpus.VisitsOf(split == "test" ? Split::kTest : Split::kValidation);
  if (visits.empty()) {
    throw DataError(RunPaths(config.run.dir).corpus().string(), ": no visit in the ", split,
                    " split; expected at least one (data.split)");
  }
  return {corpus, std::move(visits), config.evaluate.bootstrap,
          static_cast<uint64_t>(config.run.seed)};
}

// Returns the rows of the baselines, the encoders, the classifier and the list policies.
PolicyResults EvaluatePolicies(const Config& config, const Field& field,
                               const Materials& materials) {
  const RunPaths paths(config.run.dir);
  const int32_t num_drugs = materials.corpus.drugs.size();
  PolicyResults results;
  std::vector<Row>& rows = results.rows;
  rows = BaselineRows(field);
  const TrainedEncoders encoders = LoadEncoders(config, field.corpus);
  if (encoders.micron) rows.push_back(MicronRow(field, *encoders.micron));
  if (encoders.raremed) rows.push_back(RaremedRow(field, *encoders.raremed));
  const ClassifierAnswers answers = Classify(config, field, materials);
  const Sets predicted = DrugsAbove(answers.logits, num_drugs, answers.offset);
  rows.push_back(MakeRow(field, "classifier", DrugsAbove(answers.logits, num_drugs, 0)));
  rows.push_back(MakeRow(field, "classifier-calibrated",
                         DrugsAbove(answers.logits, num_drugs, answers.best_offset)));
  AddListRow(config, field, materials, "list-sft", paths.list(), predicted, &results);
  AddListRow(config, field, materials, "list-grpo", paths.grpo(), predicted, &results);
  for (size_t i = rows.size() - 4; i < rows.size(); ++i) {
    SetScores(field, {"classifier", answers.logits, DrugScores::kLogits}, &rows[i]);
  }
  return results;
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
  PolicyResults without;
  AddListRow(config, field, *materials, kWithoutPatientSlot, paths.grpo(), predicted, &without);
  return Compare(field, trained, without.rows[0], "jaccard");
}

json EvaluationOf(const Config& config, const Field& field, const std::string& split,
                  const PolicyResults& results) {
  const std::vector<Row>& rows = results.rows;
  json evaluation = {{"split", split},
                     {"num_visits", field.visits.size()},
                     {"num_patients", NumPatients(field)},
                     {"hospital", field.corpus.hospital},
                     {"diagnoses", field.corpus.diagnoses_known},
                     {"truth", Truth(field)},
                     {"oracle", Oracle(field)},
                     {"rows", json::array()},
                     {"comparisons", Comparisons(field, rows, rows.size() - 2)},
                     {"groups", SubgroupsJson(field, rows)},
                     {"rare_drugs", RareDrugsJson(field, rows)},
                     {"calibration", CalibrationJson(field, rows)},
                     {"abstention", AbstentionJson(field, rows)},
                     {"errors", DrugErrorsJson(field, rows)},
                     {"phi", results.phi}};
  for (const Row& row : rows) evaluation["rows"].push_back(RowJson(field, row));
  const json slot = PatientSlot(config, field, rows.back());
  if (!slot.is_null()) evaluation["comparisons"].push_back(slot);
  return evaluation;
}

// Writes each row's lists to a file of `folder`, with the scores of the recommenders that made
// them.
void WriteLists(const fs::path& folder, const Field& field, const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const bool own = row.scores.source == row.policy;
    WritePredictions(folder / (row.policy + ".jsonl"), field.corpus, field.visits, row.sets,
                     own ? row.scores.values : std::vector<float>());
  }
}

bool IsInterval(const json& value) {
  return value.is_array() && value.size() == 2 && value[0].is_number() && value[1].is_number();
}

// Returns the row of a file of lists.
Row RowOfFile(const Field& field, const fs::path& file, const std::string& policy) {
  Predictions predictions = ReadPredictions(file, field.corpus, field.visits);
  Row row = MakeRow(field, policy, predictions.drugs);
  if (!predictions.scores.empty()) {
    SetScores(field, {policy, std::move(predictions.scores), DrugScores::kRanks}, &row);
  }
  return row;
}

// A row of evaluation.json, for comparison. Rows that edit or cut the classifier's answers have its
// scores.
Row RowOfRun(const Config& config, const Field& field, const std::string& policy) {
  const RunPaths paths(config.run.dir);
  if (!fs::exists(paths.predictions(policy))) {
    throw DataError(paths.predictions(policy).string(), " is missing; delete ",
                    paths.evaluation().string(), " to have the lists written again");
  }
  Row row = RowOfFile(field, paths.predictions(policy), policy);
  if (IsLanguageModel(policy) && row.scores.values.empty() &&
      fs::exists(paths.predictions("classifier"))) {
    SetScores(field, RowOfFile(field, paths.predictions("classifier"), "classifier").scores, &row);
  }
  return row;
}

// Returns the rows to compare other systems with: the best baseline, the calibrated classifier and
// the trained policy.
std::vector<Row> Yardsticks(const Config& config, const Field& field, const json& rows) {
  std::string best;
  double highest = -1;
  for (const json& row : rows) {
    const auto policy = row.at("policy").get<std::string>();
    if (IsLanguageModel(policy)) continue;
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
  const PolicyResults results = EvaluatePolicies(config, field, *materials);
  WriteLists(RunPaths(config.run.dir).predictions(), field, results.rows);
  return EvaluationOf(config, field, config.evaluate.split, results);
}

json EvaluateTransfer(const Config& config, const TransferTarget& target) {
  const Corpus joint = OntoTrained(ReadCorpus(RunPaths(config.run.dir).corpus()),
                                   ReadCorpus(target.corpus), target.corpus, target.years);
  const auto materials = MaterialsOfRun(config, joint);
  const Field field = MakeField(config, materials->corpus, "test");
  const PolicyResults results = EvaluatePolicies(config, field, *materials);
  if (!target.lists.empty()) WriteLists(target.lists, field, results.rows);
  return EvaluationOf(config, field, "test", results);
}

json ReadEvaluation(const fs::path& file) {
  const auto expect = [&](bool holds, const char* what) {
    if (!holds) {
      throw DataError(file.string(), ": expected ", what, "; delete the file to evaluate again");
    }
  };
  json evaluation = json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  expect(evaluation.is_object(), "a JSON object");
  const json rows = evaluation.value("rows", json());
  expect(rows.is_array() && !rows.empty(), "rows");
  for (const json& row : rows) {
    expect(row.is_object() && row.value("policy", json()).is_string(), "rows with a policy each");
    for (const char* figure : {"jaccard", "f1", "ddi", "drugs"}) {
      expect(row.value(figure, json()).is_number(), "jaccard, f1, ddi and drugs of each row");
    }
    expect(IsInterval(row.value("jaccard_ci", json())), "the interval jaccard_ci of each row");
  }
  const json truth = evaluation.value("truth", json());
  expect(truth.is_object() && truth.value("ddi", json()).is_number() &&
             truth.value("drugs", json()).is_number(),
         "truth with ddi and drugs");
  const json oracle = evaluation.value("oracle", json());
  expect(oracle.is_null() || (oracle.is_object() && oracle.value("list", json()).is_number() &&
                              oracle.value("threshold", json()).is_number()),
         "oracle, null or with list and threshold");
  evaluation["oracle"] = oracle;
  const json comparisons = evaluation.value("comparisons", json());
  expect(comparisons.is_array(), "comparisons");
  for (const json& item : comparisons) {
    expect(item.is_object() && item.value("policy", json()).is_string() &&
               item.value("baseline", json()).is_string() &&
               item.value("metric", json()).is_string() &&
               item.value("difference", json()).is_number() && IsInterval(item.value("ci", json())),
           "comparisons with policy, baseline, metric, difference and ci");
  }
  expect(evaluation.value("num_visits", json()).is_number_integer(), "num_visits");
  expect(evaluation.value("split", json()).is_string(), "split");
  return evaluation;
}

json ReadEvaluation(const Config& config) {
  return ReadEvaluation(RunPaths(config.run.dir).evaluation());
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
    const Row row = RowOfFile(field, file, name);
    result["rows"].push_back(RowJson(field, row));
    for (const Row& other : yardsticks) {
      result["comparisons"].push_back(Compare(field, row, other, "jaccard"));
    }
  }
  return result;
}

json CompareRows(const Config& config, const std::string& policy, const std::string& baseline) {
  const json evaluation = ReadEvaluation(config);
  for (const std::string& name : {policy, baseline}) {
    std::string known;
    bool found = false;
    for (const json& row : evaluation.at("rows")) {
      const auto one = row.at("policy").get<std::string>();
      known += (known.empty() ? "" : ", ") + one;
      found = found || one == name;
    }
    if (!found) {
      throw UsageError("--compare: the evaluation has no row '", name, "'; expected two of ",
                       known);
    }
  }
  const Corpus corpus = ReadCorpus(RunPaths(config.run.dir).corpus());
  const Field field = MakeField(config, corpus, config.evaluate.split);
  const Row a = RowOfRun(config, field, policy), b = RowOfRun(config, field, baseline);
  json comparisons = json::array();
  for (const auto& [metric, values] : a.values) {
    const auto other = b.values.find(metric);
    if (other == b.values.end() || !HasNumber(values) || !HasNumber(other->second)) continue;
    comparisons.push_back(Compare(field, a, b, metric));
  }
  return comparisons;
}

}  // namespace flame
