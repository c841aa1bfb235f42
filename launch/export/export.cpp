#include "launch/export/export.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "data/corpus.h"
#include "data/prompts/prompt.h"
#include "launch/config/config.h"
#include "launch/config/run_paths.h"
#include "launch/export/drug_grammar.h"
#include "launch/export/gguf.h"
#include "launch/export/logit_probe.h"
#include "launch/export/manifest.h"
#include "launch/export/model_card.h"
#include "launch/run/evaluate.h"
#include "launch/run/stages.h"
#include "model/files/policy_config.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "model/shapes.h"
#include "recommend/calibrate.h"
#include "tokenizer/tokenizer.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

at::ScalarType DtypeOfExport(const std::string& name) {
  return name == "float16" ? at::kHalf : DtypeOf(name);
}

// The first slot of every kind that an export has.
std::vector<int32_t> FirstSlots(const Policy& policy) {
  std::vector<int32_t> slots;
  for (const EntitySlots& kind : policy.entities()) {
    if (!kind.borrowed) slots.push_back(static_cast<int32_t>(kind.first_token));
  }
  return slots;
}

double LogitDifference(const fs::path& model, const fs::path& exported) {
  LogitProbe probe;
  at::Tensor before;
  {
    const Policy policy = LoadPolicy(model, at::kFloat);
    probe = ProbeOf(policy.config().vocab_size, FirstSlots(policy));
    before = ProbedLogits(policy, probe);
  }
  const at::Tensor after = ProbedLogits(LoadPolicy(exported, at::kFloat), probe);
  return (after - before).abs().max().item<double>();
}

// The policy as a plain model. Its weights stay in their files.
Policy PlainPolicy(const fs::path& model, const Tokenizer& tokenizer) {
  Policy policy = OpenPolicy(model, at::kFloat);
  policy.EndWith(tokenizer.eos_id());
  if (policy.has_adapters()) policy.MergeAdapters();
  policy.DropBorrowed();
  if (!policy.entities().empty()) policy = policy.MaterializeEntities();
  if (tokenizer.size() > policy.config().vocab_size) {
    throw DataError((model / "tokenizer.json").string(), " has ", tokenizer.size(),
                    " tokens, the model's table ", policy.config().vocab_size, " rows");
  }
  // Not every loader honours suppress_tokens.
  policy.SilenceTokens(SlotIds(tokenizer));
  return policy;
}

// The run's words on the model. All is null or empty if there is no run.
struct Origin {
  json evaluation;     // null if there is none of this policy
  std::string config;  // config.yaml
  fs::path base;
  std::vector<std::string> drugs;
  json funnel = json::array();
};

Origin OriginOf(const fs::path& run) {
  Origin origin;
  if (run.empty()) return origin;
  const RunPaths paths(run);
  const Config config = LoadConfig(paths.config(), {StrCat("run.dir=", run.string())});
  origin.config = ReadWholeFile(paths.config());
  origin.base = config.model.path;
  origin.evaluation = CurrentEvaluation(config);
  const Corpus corpus = ReadCorpus(paths.corpus());
  origin.drugs = corpus.drugs.titles;
  for (const FunnelStep& step : corpus.funnel) {
    origin.funnel.push_back({{"rule", step.rule},
                             {"rows", step.rows},
                             {"visits", step.visits},
                             {"patients", step.patients}});
  }
  return origin;
}

// "+0.0123 [+0.0011, +0.0234]"; "" if it was not measured.
std::string PatientSlotWorth(const json& evaluation) {
  if (evaluation.is_null()) return "";
  for (const json& item : evaluation.at("comparisons")) {
    if (item.at("baseline") != kWithoutPatientSlot) continue;
    char text[80];
    std::snprintf(text, sizeof text, "%+.4f [%+.4f, %+.4f]", item.at("difference").get<double>(),
                  item.at("ci")[0].get<double>(), item.at("ci")[1].get<double>());
    return text;
  }
  return "";
}

json ManifestOf(const ExportRequest& request, const Origin& origin, const ExportReport& report) {
  json manifest = {{"dtype", request.dtype}, {"logit_difference", report.logit_difference}};
  if (request.run.empty()) return manifest;
  manifest["config"] = origin.config;
  manifest["evaluation"] = origin.evaluation;
  manifest["funnel"] = origin.funnel;
  return manifest;
}

}  // namespace

std::vector<int32_t> SlotIds(const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  for (int kind = 0; kind < kNumEntityKinds; ++kind) {
    for (int32_t i = 0;; ++i) {
      const int32_t id = tokenizer.IdOf(EntityToken(static_cast<EntityKind>(kind), i));
      if (id < 0) break;
      ids.push_back(id);
    }
  }
  if (const int32_t visit = tokenizer.IdOf(kVisitToken); visit >= 0) ids.push_back(visit);
  return ids;
}

void WriteGenerationConfig(const PolicyConfig& config, const std::vector<int32_t>& slots,
                           const fs::path& folder) {
  json generation = {{"do_sample", false}};
  if (config.bos_id >= 0) generation["bos_token_id"] = config.bos_id;
  if (!config.end_ids.empty()) generation["eos_token_id"] = EndIdsJson(config);
  if (!slots.empty()) generation["suppress_tokens"] = slots;
  WriteFileAtomically(folder / "generation_config.json", generation.dump(1) + "\n");
}

json CurrentEvaluation(const Config& config) {
  try {
    if (!IsCurrent(MakeEvaluateStage(config))) {
      LogWarning("the run's policies are not evaluated; `flame evaluate` does so, and an export ",
                 "after it tells the results");
      return nullptr;
    }
    return ReadEvaluation(config);
  } catch (const DataError& error) {
    LogWarning("the evaluation is left out: ", error.what());
    return nullptr;
  }
}

void ExpectNewFolder(const fs::path& out) {
  if (fs::exists(out) && !(fs::is_directory(out) && fs::is_empty(out))) {
    throw UsageError(out.string(), " is there already; expected no such folder, or an empty one");
  }
}

ExportReport ExportPolicy(const ExportRequest& request) {
  ExpectNewFolder(request.out);
  const at::NoGradGuard no_grad;
  const Tokenizer tokenizer = Tokenizer::Load(request.model / "tokenizer.json");
  const Policy policy = PlainPolicy(request.model, tokenizer);
  const Origin origin = OriginOf(request.run);
  AtomicPath folder(request.out, AtomicPath::Kind::kFolder);
  const fs::path& made = folder.temporary();
  SavePolicy(policy, made, {DtypeOfExport(request.dtype)});
  tokenizer.Save(made);
  WriteGenerationConfig(policy.config(), SlotIds(tokenizer), made);
  const bool classifier = fs::exists(request.model / kThresholdFile);
  if (classifier) fs::copy_file(request.model / kThresholdFile, made / kThresholdFile);
  if (!origin.drugs.empty()) {
    WriteFileAtomically(made / "drugs.gbnf", DrugGbnf(origin.drugs));
    WriteFileAtomically(made / "drugs.regex", DrugRegex(origin.drugs) + "\n");
  }
  ExportReport report;
  report.patient_slot = tokenizer.IdOf(kVisitToken) >= 0;
  report.logit_difference = LogitDifference(request.model, made);
  report.patient_slot_worth = PatientSlotWorth(origin.evaluation);
  WriteFileAtomically(made / "README.md", ModelCard({origin.base, request.dtype, origin.evaluation,
                                                     classifier, report.patient_slot}));
  WriteManifest(made, ManifestOf(request, origin, report));
  folder.Commit();
  return report;
}

ExportReport ExportGguf(const ExportRequest& request) {
  const fs::path& out = request.out;
  if (fs::exists(out)) {
    throw UsageError(out.string(), " is there already; expected no such file");
  }
  const at::NoGradGuard no_grad;
  const Tokenizer tokenizer = Tokenizer::Load(request.model / "tokenizer.json");
  // The tokenizer as an export has it, whatever file the model's came from.
  const AtomicPath scratch(out.string() + ".tokenizer", AtomicPath::Kind::kFolder);
  tokenizer.Save(scratch.temporary());
  WriteGguf(PlainPolicy(request.model, tokenizer),
            {scratch.temporary(), out, request.dtype, out.stem().string(), SlotIds(tokenizer)});
  ExportReport report;
  report.patient_slot = tokenizer.IdOf(kVisitToken) >= 0;
  if (report.patient_slot) {
    report.patient_slot_worth = PatientSlotWorth(OriginOf(request.run).evaluation);
  }
  return report;
}

}  // namespace flame
