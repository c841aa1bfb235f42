// flame grpo: step-wise GRPO.
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunGrpoCommand(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config, /*logs=*/true, /*by_role=*/true);
  GrpoStage(config, session.world());
  return 0;
}

}  // namespace flame
