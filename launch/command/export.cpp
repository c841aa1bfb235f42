// flame export: a trained policy for servers, or a corpus for other projects.
#include "launch/export/export.h"

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "data/export/write_pyhealth.h"
#include "data/export/write_records.h"
#include "data/prompts/entity_tokens.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"
#include "launch/export/manifest.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Refuses options of another form of export than `form`.
void CheckAlone(const ParsedOptions& options, const std::string& form) {
  for (const char* other : {"run", "model", "out", "dtype", "records", "pyhealth", "mappings"}) {
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

// Says what a server that has no vectors of visits does without, and what that costs.
void TellPatientSlot(const std::string& worth) {
  LogWarning("the policy was trained with a vector of the patient's visit (encoders.patient). A ",
             "server does not have it: leave ", kVisitToken, " and the separator out of prompts. ",
             "What it adds to the Jaccard: ",
             worth.empty() ? "not measured; export with --run after `flame evaluate`"
                           : worth + " on the evaluation's visits");
}

}  // namespace

int RunExport(const ParsedOptions& options) {
  if (options.Has("verify")) {
    for (const char* other : {"run", "model", "out", "dtype", "records", "pyhealth", "mappings"}) {
      if (options.Has(other)) throw UsageError("--verify and --", other, " do not go together");
    }
    LogInfo(VerifyManifest(options.Text("verify")), " files are as they were exported");
    return 0;
  }
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
  ExportRequest request;
  request.out = out;
  request.run = options.Text("run", "");
  request.model =
      options.Has("model") ? fs::path(options.Text("model")) : RunPaths(options.Text("run")).grpo();
  request.dtype = options.Text("dtype", "float32");
  const ExportReport report = ExportPolicy(request);
  LogInfo("exported to ", out.string(), " in ", request.dtype,
          "; a logit differs from the policy's by at most ", report.logit_difference);
  if (report.patient_slot) TellPatientSlot(report.patient_slot_worth);
  return 0;
}

}  // namespace flame
