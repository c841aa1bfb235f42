// flame evaluate: the policies of a run on held-out visits.
#include "launch/run/evaluate.h"

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/command/print_evaluation.h"
#include "launch/run/run_paths.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {
namespace {

// Prints the evaluation and writes it to the file of --out.
void Tell(const nlohmann::json& evaluation, const ParsedOptions& options) {
  if (options.Has("out")) WriteFileAtomically(options.Text("out"), evaluation.dump(2) + "\n");
  std::cout << (options.Has("json") ? evaluation.dump() + "\n" : EvaluationTable(evaluation));
}

// The value of --years, such as 2014-2016; all years without it.
YearRange YearsOf(const ParsedOptions& options) {
  YearRange years;
  if (!options.Has("years")) return years;
  const std::string text = options.Text("years");
  char behind = 0;
  const int read = std::sscanf(text.c_str(), "%d-%d%c", &years.first, &years.last, &behind);
  if (read != 2 || years.first > years.last || years.first < 1) {
    throw UsageError("--years is ", text, "; expected two years such as 2014-2016");
  }
  return years;
}

// Splits the value of --predictions at its commas. Throws UsageError if a file is not there.
std::vector<std::filesystem::path> FilesOf(const std::string& value) {
  std::vector<std::filesystem::path> files;
  std::istringstream names(value);
  for (std::string name; std::getline(names, name, ',');) {
    if (!std::filesystem::is_regular_file(name)) {
      throw UsageError("--predictions: there is no file '", name, "'");
    }
    files.emplace_back(name);
  }
  return files;
}

}  // namespace

void PrintEvaluation(const Config& config, bool as_json) {
  const std::filesystem::path file = RunPaths(config.run.dir).evaluation();
  const auto evaluation =
      nlohmann::json::parse(ReadWholeFile(file), nullptr, /*allow_exceptions=*/false);
  if (!evaluation.is_object()) {
    throw DataError(file.string(), ": expected a JSON object; delete the file to evaluate again");
  }
  std::cout << (as_json ? evaluation.dump() + "\n" : EvaluationTable(evaluation));
}

int RunEvaluate(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config);
  session.RequireOneProcess("evaluate");
  const bool on = options.Has("on"), predictions = options.Has("predictions");
  if (on && predictions) throw UsageError("--on and --predictions: expected one of them");
  if (options.Has("out") && !on && !predictions) {
    throw UsageError("--out is for an evaluation --on another hospital or of --predictions");
  }
  if (options.Has("years") && !on) {
    throw UsageError("--years is for an evaluation --on another hospital");
  }
  if (on) {
    Tell(EvaluateTransfer(config, options.Text("on"), YearsOf(options)), options);
    return 0;
  }
  const std::vector<std::filesystem::path> files = FilesOf(options.Text("predictions"));
  EvaluateStage(config);
  TellTimes(config);
  if (predictions) {
    Tell(EvaluatePredictions(config, files), options);
  } else {
    PrintEvaluation(config, options.Has("json"));
  }
  return 0;
}

}  // namespace flame
