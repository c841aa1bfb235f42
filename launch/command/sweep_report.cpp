// flame sweep status and report.
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/sweep/curves.h"
#include "launch/sweep/report.h"

namespace flame {
namespace {

void WriteReport(const SweepResults& results) {
  for (const auto& [name, text] :
       {std::pair("report.csv", SweepCsv(results)), std::pair("report.html", SweepPage(results))}) {
    WriteFileAtomically(results.dir / name, text);
    LogInfo("wrote ", (results.dir / name).string());
  }
}

}  // namespace

int RunSweepReport(const ParsedOptions& options) {
  const std::string& action = options.words[0];
  if (action != "status" && action != "report") {
    throw UsageError("flame sweep ", action, " ", options.words[1],
                     ": expected one sweep file, or status or report with a sweep file or folder; "
                     "see flame sweep --help");
  }
  UseLogLevel(options);
  SweepResults results = ReadSweepResults(options.words[1]);
  if (action == "report") {
    ReadLearning(&results);
    WriteReport(results);
  }
  std::cout << (options.Has("json") ? SweepJson(results).dump() + "\n" : SweepTable(results));
  return 0;
}

}  // namespace flame
