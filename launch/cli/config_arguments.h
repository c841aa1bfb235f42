// The config that a command runs, from its options.
#ifndef FLAME_LAUNCH_CLI_CONFIG_ARGUMENTS_H_
#define FLAME_LAUNCH_CLI_CONFIG_ARGUMENTS_H_

#include "launch/cli/parse_options.h"
#include "launch/config/config.h"

namespace flame {

// Reads --config and the overrides (LoadConfig), and begins the log and the timeline that
// --log-level and --trace ask for. Throws UsageError.
Config ConfigOf(const ParsedOptions& options);

// Sets the log level of stderr to --log-level, if given.
void UseLogLevel(const ParsedOptions& options);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_CONFIG_ARGUMENTS_H_
