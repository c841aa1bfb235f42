// flame config: the config of a command, and the reference of all keys.
#include <iostream>

#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"

namespace flame {

int RunConfig(const ParsedOptions& options) {
  if (options.Has("reference")) {
    std::cout << ConfigReference();
  } else {
    std::cout << ConfigOf(options).ResolvedYaml();
  }
  return 0;
}

}  // namespace flame
