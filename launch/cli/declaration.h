// How a command is called: the one source of its parsing, its help and its shell completion.
#ifndef FLAME_LAUNCH_CLI_DECLARATION_H_
#define FLAME_LAUNCH_CLI_DECLARATION_H_

#include <cstddef>
#include <string>
#include <vector>

namespace flame {

struct OptionDeclaration {
  std::string name;   // "nodes", given as "--nodes N" or "--nodes=N"
  std::string value;  // the word for its value in help: "N", "FILE"; "" for a switch
  std::string help;   // one sentence without its full stop
  std::vector<std::string> choices = {};  // the values it takes; empty: any
};

// The words of a command that are neither options nor config overrides.
struct WordsDeclaration {
  std::string name = "";  // for help and messages: "STAGE", "FILE"
  size_t least = 0, most = 0;
  std::vector<std::string> choices = {};  // of the first word; empty: any
};

struct Declaration {
  std::string name;
  std::string summary;                // one line of flame --help
  std::vector<std::string> examples;  // whole command lines; help begins with them
  std::string text;                   // a paragraph of help; it is wrapped to the terminal
  WordsDeclaration words = {};
  std::vector<OptionDeclaration> options = {};
  // Runs a config: takes --config, --json, --log-level, --progress, --trace and a.b=value
  // overrides.
  bool takes_config = false;
};

// Returns every command, in the order that flame --help shows.
const std::vector<Declaration>& Declarations();

// Returns the declaration of `name`. Throws UsageError with the nearest name if there is none.
const Declaration& FindDeclaration(const std::string& name);

// Returns the command's own options, those of every command that takes a config, and --help.
std::vector<OptionDeclaration> AllOptions(const Declaration& declaration);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_DECLARATION_H_
