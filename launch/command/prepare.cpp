// flame prepare: tables to corpus.h5.
#include "data/hospitals/prepare.h"

#include "base/error.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/run_paths.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {
namespace {

// The corpus of a run folder, or a corpus file.
Corpus BaseOf(const std::filesystem::path& run) {
  return ReadCorpus(std::filesystem::is_directory(run) ? RunPaths(run).corpus() : run);
}

}  // namespace

int RunPrepare(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  if (options.Has("onto") && !options.Has("out")) {
    throw UsageError("--onto makes a corpus alone; expected --out FILE beside it");
  }
  if (options.Has("out")) {
    const Corpus corpus = options.Has("onto")
                              ? PrepareCorpusOnto(config.data, BaseOf(options.Text("onto")))
                              : PrepareCorpus(config.data);
    WriteCorpus(corpus, options.Text("out"));
    return 0;
  }
  RankSession session(config);
  session.RequireOneProcess("prepare");
  PrepareStage(config);
  return 0;
}

}  // namespace flame
