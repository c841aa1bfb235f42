#include <unistd.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "launch/command/command.h"
#include "launch/run/stage_inputs.h"
#include "launch/sweep/curves.h"
#include "launch/sweep/report.h"
#include "launch/sweep/worker.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
namespace po = boost::program_options;

const char* kUsage =
    "flame sweep configs/sweep-alpha-lambda.yaml --jobs 2\n"
    "flame sweep configs/sweep-alpha-lambda.yaml --jobs 8 --slurm\n"
    "flame sweep status runs/sweep-alpha-lambda\n"
    "flame sweep report runs/sweep-alpha-lambda\n\n"
    "Runs the trials of a sweep file. The same command, called again or on other hosts that share\n"
    "the folder, joins in: what is done stays done, what is under way is left to its worker, and\n"
    "what a dead worker left is resumed. `report` writes report.csv and report.html.\n"
    "Research software: not for treating patients.\n";

struct SweepArguments {
  std::string action = "run";  // or status, report
  fs::path place;              // a sweep file; of status and report its folder too
  int64_t jobs = 1;
  std::string log_level;  // of the worker and its jobs; empty: their default
  bool slurm = false, json = false, help = false;
};

void TakeWords(const std::vector<std::string>& words, SweepArguments* parsed) {
  size_t next = 0;
  if (!words.empty() && (words[0] == "status" || words[0] == "report")) {
    parsed->action = words[next++];
  }
  if (words.size() != next + 1) {
    throw UsageError("expected one ",
                     parsed->action == "run" ? "sweep file" : "sweep file or folder", ", found ",
                     words.size() - next, "; see flame sweep --help");
  }
  parsed->place = words[next];
}

SweepArguments Parse(const Arguments& arguments) {
  po::options_description options("Options");
  options.add_options()("help,h", "this text")                                                   //
      ("jobs", po::value<int64_t>()->default_value(1), "trials at once; with --slurm: workers")  //
      ("slurm", "submit the workers as a job array of slurm/sweep.sbatch")                       //
      ("log-level", po::value<std::string>(),
       "debug, info (the default), warning or error: what goes to stderr and trials' log.txt")  //
      ("json", "the result as JSON");
  po::options_description all = options;
  all.add_options()("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  po::variables_map values;
  try {
    po::store(po::command_line_parser(arguments).options(all).positional(positional).run(), values);
  } catch (const po::error& error) {
    throw UsageError(error.what(), "; see flame sweep --help");
  }
  SweepArguments parsed;
  parsed.help = values.count("help") != 0;
  if (parsed.help) {
    std::cout << kUsage << "\n"
              << options << "\nKeys of a sweep file, besides grid, list and "
              << "random.keys (docs/sweeps.md):\n"
              << SweepFileHelp();
    return parsed;
  }
  parsed.jobs = values["jobs"].as<int64_t>();
  if (parsed.jobs < 1 || parsed.jobs > 1000) {
    throw UsageError("--jobs is ", parsed.jobs, "; expected 1 to 1000");
  }
  if (values.count("log-level") != 0) {
    parsed.log_level = values["log-level"].as<std::string>();
    InitLogging(ParseLogLevel(parsed.log_level), -1);
  }
  parsed.slurm = values.count("slurm") != 0;
  parsed.json = values.count("json") != 0;
  TakeWords(values.count("words") != 0 ? values["words"].as<std::vector<std::string>>()
                                       : std::vector<std::string>(),
            &parsed);
  return parsed;
}

void Print(const SweepResults& results, bool as_json) {
  std::cout << (as_json ? SweepJson(results).dump() + "\n" : SweepTable(results));
}

// Becomes sbatch; returns only by throwing.
void Submit(const SweepArguments& arguments) {
  const fs::path batch = ShareFolder() / "slurm" / "sweep.sbatch";
  if (!fs::exists(batch))
    throw MachineError(batch.string(), ": expected the batch file of a worker");
  std::vector<std::string> words = {"sbatch", StrCat("--array=0-", arguments.jobs - 1),
                                    batch.string(), arguments.place.string(),
                                    FlameProgram().string()};
  if (!arguments.log_level.empty()) {
    words.insert(words.end(), {"--log-level", arguments.log_level});
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execvp("sbatch", pointers.data());
  throw MachineError("cannot start sbatch: ", std::strerror(errno),
                     "; --slurm needs a host that submits to Slurm");
}

bool AllDone(const SweepFile& file, const std::vector<SweepJob>& jobs) {
  const SweepClaims claims(file.options.dir);
  return std::all_of(jobs.begin(), jobs.end(), [&](const SweepJob& job) {
    return StateOf(claims.AttemptsAt(job.name), file.options.retries) == JobState::kDone;
  });
}

void Run(const SweepArguments& arguments) {
  const SweepFile file = ReadSweepFile(arguments.place);
  const std::vector<Trial> trials = ExpandSweep(file);
  const std::vector<SweepJob> jobs = PlanJobs(file.options.dir, trials);
  for (const Trial& trial : trials) CheckInputs(trial.config);
  LogInfo(arguments.place.string(), ": ", trials.size(), " trials on ", jobs.size() - trials.size(),
          " shared stages in ", file.options.dir.string());
  if (arguments.slurm) {
    if (AllDone(file, jobs)) return LogInfo("every job is done; nothing is submitted");
    Submit(arguments);
  }
  WriteSweepRecord(file, trials, jobs);
  WorkOff(jobs, {file.options.dir, arguments.jobs, file.options.retries,
                 file.options.heartbeat_deadline, arguments.log_level});
}

void WriteReport(const SweepResults& results) {
  for (const auto& [name, text] :
       {std::pair("report.csv", SweepCsv(results)), std::pair("report.html", SweepPage(results))}) {
    WriteFileAtomically(results.dir / name, text);
    LogInfo("wrote ", (results.dir / name).string());
  }
}

}  // namespace

int RunSweep(const Arguments& arguments) {
  const SweepArguments parsed = Parse(arguments);
  if (parsed.help) return 0;
  if (parsed.action == "run") Run(parsed);
  SweepResults results = ReadSweepResults(parsed.place);
  if (parsed.action == "report") {
    ReadLearning(&results);
    WriteReport(results);
  }
  Print(results, parsed.json);
  return 0;
}

}  // namespace flame
