// flame prepare --out: tables to a corpus file.
#include "base/error.h"
#include "data/hospitals/prepare.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

// The corpus of a run folder, or a corpus file.
Corpus BaseOf(const std::filesystem::path& run) {
  return ReadCorpus(std::filesystem::is_directory(run) ? RunPaths(run).corpus() : run);
}

}  // namespace

int RunPrepareCorpus(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  const Corpus corpus = options.Has("onto")
                            ? PrepareCorpusOnto(config.data, BaseOf(options.Text("onto")))
                            : PrepareCorpus(config.data);
  WriteCorpus(corpus, options.Text("out"));
  return 0;
}

}  // namespace flame
