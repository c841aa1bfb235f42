// The commands of the program.
#ifndef FLAME_LAUNCH_COMMAND_COMMAND_H_
#define FLAME_LAUNCH_COMMAND_COMMAND_H_

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "launch/run/config.h"

namespace flame {

using Arguments = std::vector<std::string>;

struct Command {
  const char* name;
  const char* summary;
  // Returns the exit status; failures are thrown.
  int (*run)(const Arguments& arguments);
};

// Every command, in the order that help shows.
const std::vector<Command>& Commands();

// What the commands that run a config share: `--config FILE`, `--json`, and `a.b=value` overrides.
struct ConfigArguments {
  Config config;
  bool json = false;
  std::string word;           // the positional argument, where a command takes one
  std::filesystem::path out;  // --out, where a command takes it
  std::string log_level;      // --log-level; empty: not given
  bool trace = false;
  bool help = false;  // help was asked for and printed
};
// `usage` begins with an example. `takes_word`: names the positional argument, "" for none.
ConfigArguments ParseConfigArguments(const Arguments& arguments, const std::string& usage,
                                     const std::string& takes_word = "", bool takes_out = false);

// What a command reads itself, as "--name value" or "--name=value", and the rest of its arguments.
struct OwnOptions {
  Arguments rest;
  std::map<std::string, std::string> values;  // by "--name"
};
// Throws UsageError where one of `names` has no value.
OwnOptions SeparateOptions(const Arguments& arguments, const std::string& command,
                           const std::vector<std::string>& names);

int RunLaunch(const Arguments& arguments);
int RunReplay(const Arguments& arguments);
int RunInspect(const Arguments& arguments);
int RunPlan(const Arguments& arguments);
int RunDoctor(const Arguments& arguments);
int RunSweep(const Arguments& arguments);

}  // namespace flame

#endif  // FLAME_LAUNCH_COMMAND_COMMAND_H_
