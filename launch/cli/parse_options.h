// The arguments of a command, parsed by its declaration.
#ifndef FLAME_LAUNCH_CLI_PARSE_OPTIONS_H_
#define FLAME_LAUNCH_CLI_PARSE_OPTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "launch/cli/declaration.h"

namespace flame {

using Arguments = std::vector<std::string>;

class ParsedOptions {
 public:
  // True if `--help` was given. Then choices and words were not checked, and of the other members
  // only `arguments` is filled.
  bool help = false;
  Arguments arguments;                 // all of them, as they were given
  std::vector<std::string> words;      // as the declaration has them
  std::vector<std::string> overrides;  // "a.b=value", of commands that take a config

  bool Has(const std::string& name) const { return values_.contains(name); }
  // Returns the names of the options given.
  std::vector<std::string> Names() const;
  // Returns the value given; `otherwise` if there is none.
  std::string Text(const std::string& name, const std::string& otherwise = "") const;
  // Returns a whole number in [low, high]; `otherwise` if none is given. Throws UsageError naming
  // the option.
  int64_t Count(const std::string& name, int64_t otherwise, int64_t low, int64_t high) const;
  // Returns a finite number; `otherwise` if none is given. Throws UsageError naming the option.
  double Number(const std::string& name, double otherwise) const;
  // Returns the value given. Throws UsageError, "--NAME is missing: HELP", if there is none.
  std::string Required(const std::string& name) const;

 private:
  friend ParsedOptions ParseOptions(const Declaration&, const Arguments&);
  const Declaration* declaration_ = nullptr;
  std::map<std::string, std::string> values_;  // "" for a switch
};

// Options may stand anywhere, as "--name value" or "--name=value". After "--" all arguments are
// words; if the command takes a config, a word with "=" is an override there too. Throws UsageError
// on an unknown option, with the nearest one, on a missing or unexpected value, on a value or first
// word that is not among its choices, on an option given twice, and on too few or too many words.
// `declaration` must outlive the result.
ParsedOptions ParseOptions(const Declaration& declaration, const Arguments& arguments);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_PARSE_OPTIONS_H_
