// Help texts, wrapped to the terminal.
#ifndef FLAME_LAUNCH_CLI_HELP_H_
#define FLAME_LAUNCH_CLI_HELP_H_

#include <cstddef>
#include <string>

#include "launch/cli/declaration.h"

namespace flame {

// Returns the width of the terminal on stdout, at least 40 and at most 100; 80 if stdout is no
// terminal.
size_t HelpWidth();

// Returns the text of flame --help: what the program is, and one line for each command.
std::string ProgramHelp(size_t width);
// Returns the text of flame COMMAND --help: examples first, then the text, the options and, if the
// command runs a config, its keys.
std::string CommandHelp(const Declaration& declaration, size_t width);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_HELP_H_
