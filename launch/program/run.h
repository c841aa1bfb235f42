// The parts that the mains of the programs share.
#ifndef FLAME_LAUNCH_PROGRAM_RUN_H_
#define FLAME_LAUNCH_PROGRAM_RUN_H_

#include <functional>
#include <map>
#include <string>

#include "launch/cli/parse_options.h"

namespace flame {

using Commands = std::map<std::string, int (*)(const ParsedOptions&)>;

// Returns the exit status of the command words[0]. Throws as ParseOptions, as the command, and
// MachineError if stdout cannot take what was printed. Throws UsageError if `commands` lacks it.
int RunCommand(const Commands& commands, const Arguments& words);

// Throws MachineError if stdout cannot take what was printed.
void FlushStdout();

// Returns run()'s status. A failure becomes one line on stderr, "flame: WHY", and its status.
int StatusOf(const std::function<int()>& run);

}  // namespace flame

#endif  // FLAME_LAUNCH_PROGRAM_RUN_H_
