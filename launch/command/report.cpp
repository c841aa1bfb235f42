// flame report: runs as one page.
#include <algorithm>
#include <exception>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/signals.h"
#include "launch/command/command.h"
#include "launch/report/html.h"
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
  // Runs whose folders have the same name are told apart by their paths.
  std::map<std::string, int> count;
  for (const RunView& run : runs) ++count[run.name];
  for (RunView& run : runs) {
    if (count[run.name] > 1) run.name = run.dir.string();
  }
  return runs;
}

// The page of now. What cannot be read is told there: it may be whole again at the next look.
std::string PageOfNow(const std::vector<std::string>& folders) {
  try {
    const std::vector<RunView> runs = RunsOf(folders);
    const bool done =
        std::all_of(runs.begin(), runs.end(), [](const RunView& run) { return run.done(); });
    return RunPage(runs, done ? 0 : kRefreshSeconds);
  } catch (const std::exception& error) {
    return PageHead("Report", kRefreshSeconds) + Paragraph(error.what(), "warning") + kPageEnd;
  }
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
      [&] { return PageOfNow(options.words); },
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
  if (options.Has("curve") &&
      fs::weakly_canonical(options.Text("curve")) == fs::weakly_canonical(OutOf(options))) {
    throw UsageError("--curve and --out name one file; expected two");
  }
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
