// flame prepare: tables to corpus.h5.
#include "data/hospitals/prepare.h"

#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunPrepare(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  if (options.Has("out")) {
    WriteCorpus(PrepareCorpus(config.data), options.Text("out"));
    return 0;
  }
  RankSession session(config);
  session.RequireOneProcess("prepare");
  PrepareStage(config);
  return 0;
}

}  // namespace flame
