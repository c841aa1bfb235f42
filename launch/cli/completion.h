// Shell completion of the program's arguments.
#ifndef FLAME_LAUNCH_CLI_COMPLETION_H_
#define FLAME_LAUNCH_CLI_COMPLETION_H_

#include <string>

namespace flame {

// Returns a script for `shell`, "bash" or "zsh", made from the commands' declarations and the
// config's keys. It completes commands, options, the values of options with choices, config keys,
// and otherwise files.
std::string CompletionScript(const std::string& shell);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_COMPLETION_H_
