// flame export: a trained policy for servers, or a corpus for other projects.
#include "launch/run/export.h"

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "data/export/write_pyhealth.h"
#include "data/export/write_records.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

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
  ExportPolicy(model, out);
  return 0;
}

}  // namespace flame
