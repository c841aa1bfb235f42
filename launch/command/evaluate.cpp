// flame evaluate: the policies of a run on held-out visits.
#include "launch/run/evaluate.h"

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/command/print_evaluation.h"
#include "launch/run/run_paths.h"
#include "launch/run/session.h"
#include "launch/run/stages.h"

namespace flame {

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
  if (options.Has("on")) {
    const nlohmann::json evaluation = EvaluateTransfer(config, options.Text("on"));
    if (options.Has("out")) WriteFileAtomically(options.Text("out"), evaluation.dump(2) + "\n");
    std::cout << (options.Has("json") ? evaluation.dump() + "\n" : EvaluationTable(evaluation));
    return 0;
  }
  if (options.Has("out")) throw UsageError("--out is for an evaluation --on another hospital");
  EvaluateStage(config);
  TellTimes(config);
  PrintEvaluation(config, options.Has("json"));
  return 0;
}

}  // namespace flame
