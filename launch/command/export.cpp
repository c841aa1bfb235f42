// flame export: a trained policy for servers, or a corpus for other projects.
#include "launch/run/export.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "data/export/write_pyhealth.h"
#include "data/export/write_records.h"
#include "data/prompts/entity_tokens.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"
#include "launch/run/evaluate.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Refuses options of another form of export than `form`.
void CheckAlone(const ParsedOptions& options, const std::string& form) {
  for (const char* other : {"run", "model", "out", "records", "pyhealth", "mappings"}) {
    const bool fits = other == form || (form == "pyhealth" && std::string(other) == "mappings");
    if (options.Has(other) && !fits) {
      throw UsageError("--", form, " and --", other, " do not go together");
    }
  }
  if (options.words.empty()) {
    throw UsageError("--", form, " needs CORPUS: a corpus.h5 or a run folder");
  }
}

void ExportCorpus(const ParsedOptions& options, const std::string& form) {
  CheckAlone(options, form);
  const fs::path out = options.Text(form), source = options.words[0];
  ExpectNewFolder(out);
  const Corpus corpus = ReadCorpus(fs::is_directory(source) ? RunPaths(source).corpus() : source);
  AtomicPath folder(out, AtomicPath::Kind::kFolder);
  if (form == "records") {
    WriteRecords(corpus, folder.temporary() / "records.jsonl");
  } else {
    WritePyHealth(corpus, options.Text("mappings"), folder.temporary());
  }
  folder.Commit();
}

// Says what a server that has no vectors of visits does without, and what that costs if the
// evaluation of `run` has measured it ("": no run).
void TellPatientSlot(const fs::path& run) {
  std::string cost = "not measured: the run has no evaluation.json";
  if (run.empty()) cost = "not measured: export with --run";
  if (!run.empty() && fs::exists(RunPaths(run).evaluation())) {
    Config config;
    config.run.dir = run;
    const json evaluation = ReadEvaluation(config);
    for (const json& item : evaluation.at("comparisons")) {
      if (item.at("baseline") != kWithoutPatientSlot) continue;
      char text[80];
      std::snprintf(text, sizeof text, "%+.4f [%+.4f, %+.4f] on the evaluation's visits",
                    item.at("difference").get<double>(), item.at("ci")[0].get<double>(),
                    item.at("ci")[1].get<double>());
      cost = text;
    }
  }
  LogWarning("the policy was trained with a vector of the patient's visit (encoders.patient). A ",
             "server does not have it: leave ", kVisitToken, " and the separator out of prompts. ",
             "What it adds to the Jaccard: ", cost);
}

}  // namespace

int RunExport(const ParsedOptions& options) {
  for (const char* form : {"records", "pyhealth"}) {
    if (!options.Has(form)) continue;
    ExportCorpus(options, form);
    return 0;
  }
  if (!options.words.empty()) throw UsageError("CORPUS needs --records or --pyhealth");
  if (options.Has("mappings")) throw UsageError("--mappings needs --pyhealth");
  const fs::path out = options.Required("out");
  if (options.Has("run") == options.Has("model")) {
    throw UsageError("expected one of --run and --model");
  }
  const fs::path model =
      options.Has("model") ? fs::path(options.Text("model")) : RunPaths(options.Text("run")).grpo();
  if (ExportPolicy(model, out)) TellPatientSlot(options.Text("run", ""));
  return 0;
}

}  // namespace flame
