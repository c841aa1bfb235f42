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
  bool help = false;                   // nothing else was checked then
  Arguments arguments;                 // all of them, as they were given
  std::vector<std::string> words;      // as the declaration has them
  std::vector<std::string> overrides;  // "a.b=value", of commands that take a config

  bool Has(const std::string& name) const { return values_.contains(name); }
  std::vector<std::string> Names() const;  // of the options given
  // The value given; `otherwise` where there is none.
  std::string Text(const std::string& name, const std::string& otherwise = "") const;
  // A whole number in [low, high]. Throws UsageError naming the option.
  int64_t Count(const std::string& name, int64_t otherwise, int64_t low, int64_t high) const;
  // A finite number. Throws UsageError naming the option.
  double Number(const std::string& name, double otherwise) const;
  // Throws UsageError, "--NAME is missing: HELP", where it is not given.
  std::string Required(const std::string& name) const;

 private:
  friend ParsedOptions ParseOptions(const Declaration&, const Arguments&);
  const Declaration* declaration_ = nullptr;
  std::map<std::string, std::string> values_;  // "" of a switch
};

// Options may stand anywhere, as "--name value" or "--name=value"; after "--" all is words. Throws
// UsageError on an unknown option, with the nearest one, on a missing or unexpected value, on an
// option given twice, and on too few or too many words. `declaration` outlives the result.
ParsedOptions ParseOptions(const Declaration& declaration, const Arguments& arguments);

}  // namespace flame

#endif  // FLAME_LAUNCH_CLI_PARSE_OPTIONS_H_
