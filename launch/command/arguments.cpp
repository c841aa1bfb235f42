#include <algorithm>
#include <boost/program_options.hpp>
#include <iostream>

#include "base/error.h"
#include "base/log.h"
#include "base/trace.h"
#include "launch/command/command.h"

namespace flame {
namespace {

namespace po = boost::program_options;

po::options_description Options(bool takes_out) {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")                                      //
      ("config,c", po::value<std::string>(), "YAML file; every key has a default")  //
      ("json", "results as JSON on stdout")                                         //
      ("log-level", po::value<std::string>(),
       "debug, info (the default), warning or error: what goes to stderr")  //
      ("trace", "write run.dir/trace.json, a timeline of all ranks for Perfetto");
  if (takes_out) options.add_options()("out", po::value<std::string>(), "where to write");
  return options;
}

void PrintHelp(const std::string& usage, const po::options_description& options) {
  std::cout << usage << "\n"
            << options << "\nConfig keys, as a.b=value on the command line or nested in YAML:\n"
            << ConfigHelp();
}

}  // namespace

OwnOptions SeparateOptions(const Arguments& arguments, const std::string& command,
                           const std::vector<std::string>& names) {
  OwnOptions split;
  for (size_t i = 0; i < arguments.size(); ++i) {
    std::string name = arguments[i], value;
    const size_t equals = name.find('=');
    if (name.starts_with("--") && equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      split.rest.push_back(arguments[i]);
      continue;
    }
    if (equals == std::string::npos) {
      if (i + 1 == arguments.size()) {
        throw UsageError(name, " has no value; see flame ", command, " --help");
      }
      value = arguments[++i];
    }
    split.values[name] = value;
  }
  return split;
}

ConfigArguments ParseConfigArguments(const Arguments& arguments, const std::string& usage,
                                     const std::string& takes_word, bool takes_out) {
  const po::options_description options = Options(takes_out);
  po::options_description all = options;
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
  } catch (const po::error& error) {
    throw UsageError(error.what(), "; see --help");
  }
  ConfigArguments parsed;
  if (values.count("help") != 0) {
    PrintHelp(usage, options);
    parsed.help = true;
    return parsed;
  }
  std::vector<std::string> overrides;
  if (values.count("words") != 0) {
    for (const std::string& word : values["words"].as<std::vector<std::string>>()) {
      if (word.find('=') != std::string::npos) {
        overrides.push_back(word);
      } else if (!takes_word.empty() && parsed.word.empty()) {
        parsed.word = word;
      } else {
        throw UsageError("argument '", word, "' is not understood; expected ",
                         takes_word.empty() ? "" : takes_word + " and ", "key=value; see --help");
      }
    }
  }
  if (!takes_word.empty() && parsed.word.empty()) {
    throw UsageError("no ", takes_word, " given; see --help");
  }
  if (values.count("log-level") != 0) {
    parsed.log_level = values["log-level"].as<std::string>();
    InitLogging(ParseLogLevel(parsed.log_level), -1);
  }
  const std::string file = values.count("config") != 0 ? values["config"].as<std::string>() : "";
  parsed.config = LoadConfig(file, overrides);
  parsed.json = values.count("json") != 0;
  parsed.trace = values.count("trace") != 0;
  if (parsed.trace) StartTrace();
  if (takes_out && values.count("out") != 0) parsed.out = values["out"].as<std::string>();
  return parsed;
}

}  // namespace flame
