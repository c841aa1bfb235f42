// flame sft: supervised fine-tuning.
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunSftCommand(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config);
  if (options.words[0] == "classifier") {
    ClassifierStage(config, session.world());
  } else {
    ListStage(config, session.world());
  }
  return 0;
}

}  // namespace flame
