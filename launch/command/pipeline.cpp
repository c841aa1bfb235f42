// flame pipeline: every stage of a run.
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/command/print_evaluation.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunPipelineCommand(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config);
  session.RequireOneProcess("pipeline");
  RunPipeline(config);
  TellTimes(config);
  PrintEvaluation(config, options.Has("json"));
  return 0;
}

}  // namespace flame
