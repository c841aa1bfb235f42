// flame config: the config of a command, and the reference of all keys.
#include <iostream>

#include "launch/command/command.h"
#include "launch/command/config_arguments.h"

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
