// flame export: a trained policy for servers, or a corpus for other projects.
#include "launch/export/export.h"

#include <algorithm>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "data/export/write_pyhealth.h"
#include "data/export/write_records.h"
#include "data/prompts/entity_tokens.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"
#include "launch/export/manifest.h"
#include "launch/export/peft.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Refuses options of another form of export than `form`.
void CheckAlone(const ParsedOptions& options, const std::string& form) {
  for (const char* other : {"run", "model", "out", "gguf", "peft", "slots", "dtype", "records",
                            "pyhealth", "mappings"}) {
    const std::string name = other;
    const bool fits = name == form || (form == "pyhealth" && name == "mappings") ||
                      (form == "peft" && (name == "run" || name == "slots"));
    if (options.Has(other) && !fits) {
      throw UsageError("--", form, " and --", other, " do not go together");
    }
  }
}

void ExportCorpus(const ParsedOptions& options, const std::string& form) {
  CheckAlone(options, form);
  if (options.words.empty()) {
    throw UsageError("--", form, " needs CORPUS: a corpus.h5 or a run folder");
  }
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

void CheckDtype(const std::string& dtype, const std::vector<std::string>& known,
                const std::string& form) {
  if (std::find(known.begin(), known.end(), dtype) != known.end()) return;
  throw UsageError("--dtype is ", dtype, " with ", form, "; expected ", known[0], ", ", known[1],
                   " or ", known[2]);
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
    CheckAlone(options, "verify");
    LogInfo(VerifyManifest(options.Text("verify")), " files are as they were exported");
    return 0;
  }
  for (const char* form : {"records", "pyhealth"}) {
    if (!options.Has(form)) continue;
    ExportCorpus(options, form);
    return 0;
  }
  if (!options.words.empty()) throw UsageError("CORPUS needs --records or --pyhealth");
  if (options.Has("peft")) {
    CheckAlone(options, "peft");
    if (!options.Has("run")) throw UsageError("--peft needs --run");
    const PeftReport report =
        ExportPeft({options.Text("run"), options.Text("peft"), options.Text("slots", "drop")});
    LogInfo("exported an adapter of rank ", report.rank, " to ", options.Text("peft"),
            "; a logit differs from the policy's by at most ", report.logit_difference);
    if (report.patient_slot) TellPatientSlot("");
    return 0;
  }
  if (options.Has("slots")) throw UsageError("--slots needs --peft");
  if (options.Has("mappings")) throw UsageError("--mappings needs --pyhealth");
  const bool gguf = options.Has("gguf");
  if (gguf == options.Has("out")) throw UsageError("expected one of --out, --gguf and --peft");
  if (options.Has("run") == options.Has("model")) {
    throw UsageError("expected one of --run and --model");
  }
  ExportRequest request;
  request.out = options.Text(gguf ? "gguf" : "out");
  request.run = options.Text("run", "");
  request.model =
      options.Has("model") ? fs::path(options.Text("model")) : RunPaths(options.Text("run")).grpo();
  request.dtype = options.Text("dtype", gguf ? "f16" : "float32");
  ExportReport report;
  if (gguf) {
    CheckDtype(request.dtype, {"f32", "f16", "q8_0"}, "--gguf");
    report = ExportGguf(request);
    LogInfo("exported to ", request.out.string(), " in ", request.dtype);
  } else {
    CheckDtype(request.dtype, {"float32", "bfloat16", "float16"}, "--out");
    report = ExportPolicy(request);
    LogInfo("exported to ", request.out.string(), " in ", request.dtype,
            "; a logit differs from the policy's by at most ", report.logit_difference);
  }
  if (report.patient_slot) TellPatientSlot(report.patient_slot_worth);
  return 0;
}

}  // namespace flame
