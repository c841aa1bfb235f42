// flame encode: the encoders of visits and codes.
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

int RunEncode(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config);
  EncodeStage(config, session.world());
  return 0;
}

}  // namespace flame
