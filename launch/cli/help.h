// Help texts, wrapped to the terminal.
#ifndef FLAME_LAUNCH_CLI_HELP_H_
#define FLAME_LAUNCH_CLI_HELP_H_

#include <cstddef>
#include <string>

#include "launch/cli/declaration.h"

namespace flame {

// Columns of the terminal behind stdout, at most 100; 80 where it is none.
size_t HelpWidth();

// flame --help: what the program is, and a line a command.
std::string ProgramHelp(size_t width);
// flame COMMAND --help: examples first, then the text, options and, where it runs a config, its
// keys.
std::string CommandHelp(const Declaration& declaration, size_t width);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_HELP_H_
