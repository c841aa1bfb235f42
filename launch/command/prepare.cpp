// flame prepare: the tables of a run's hospital to the run's corpus.h5 and base/.
#include "base/error.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunPrepare(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  if (options.Has("onto")) {
    throw UsageError("--onto makes a corpus alone; expected --out FILE beside it");
  }
  RankSession session(config);
  session.RequireOneProcess("prepare");
  PrepareStage(config);
  return 0;
}

}  // namespace flame
