// flame report: runs as one page.
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/signals.h"
#include "launch/command/command.h"
#include "launch/report/run_page.h"
#include "launch/report/run_view.h"
#include "launch/report/watch.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

constexpr int kRefreshSeconds = 10;
constexpr size_t kGroupsOfOne = 2, kGroupsOfMany = 1;  // of a shard, shown for each run

std::vector<RunView> RunsOf(const std::vector<std::string>& folders) {
  std::vector<RunView> runs;
  for (const std::string& folder : folders) {
    runs.push_back(ReadWholeRun(folder, folders.size() == 1 ? kGroupsOfOne : kGroupsOfMany));
  }
  return runs;
}

// The page's file if --out names none: report.html of the first run's folder.
fs::path OutOf(const ParsedOptions& options) {
  if (options.Has("out")) return options.Text("out");
  return fs::path(options.words[0]) / "report.html";
}

void Watch(const ParsedOptions& options) {
  if (options.Has("out") || options.Has("curve")) {
    throw UsageError("--watch writes no file; expected no --out and no --curve");
  }
  InstallStopSignals();
  InstallInterruptAsStop();
  RunsOf(options.words);  // refuses wrong folders before it listens
  ServePage(
      static_cast<uint16_t>(options.Count("port", 0, 0, 65535)),
      [&] { return RunPage(RunsOf(options.words), kRefreshSeconds); },
      [](const std::string& address) {
        std::cout << "the report is at " << address << ", until Ctrl-C" << std::endl;
      });
}

}  // namespace

int RunReport(const ParsedOptions& options) {
  if (options.Has("watch")) {
    Watch(options);
    return 0;
  }
  if (options.Has("port")) throw UsageError("--port is for --watch");
  const std::vector<RunView> runs = RunsOf(options.words);
  std::string curve;
  if (options.Has("curve")) {
    curve = RewardCurveSvg(runs);
    if (curve.empty()) throw DataError("--curve: no run has a step of GRPO; expected one");
  }
  WriteFileAtomically(OutOf(options), RunPage(runs));
  std::cout << OutOf(options).string() << "\n";
  if (options.Has("curve")) {
    WriteFileAtomically(options.Text("curve"), curve);
    std::cout << options.Text("curve") << "\n";
  }
  return 0;
}

}  // namespace flame
