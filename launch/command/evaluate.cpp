// flame evaluate: the policies of a run on held-out visits.
#include "launch/run/evaluate.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/command/print_evaluation.h"
#include "launch/report/evaluation_table.h"
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
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, years.first);
  const bool two = first.ec == std::errc() && first.ptr != end && *first.ptr == '-';
  const auto last = std::from_chars(two ? first.ptr + 1 : end, end, years.last);
  if (!two || last.ec != std::errc() || last.ptr != end || years.first > years.last ||
      years.first < 1) {
    throw UsageError("--years is ", text, "; expected two years such as 2014-2016");
  }
  return years;
}

// Splits the value of --predictions at its commas. Throws UsageError if a file is not there.
std::vector<std::filesystem::path> FilesOf(const std::string& value) {
  std::vector<std::filesystem::path> files;
  if (value.empty()) throw UsageError("--predictions has no file; expected files, a comma between");
  std::istringstream names(value);
  for (std::string name; std::getline(names, name, ',');) {
    if (!std::filesystem::is_regular_file(name)) {
      throw UsageError("--predictions: there is no file '", name, "'");
    }
    const std::string stem = std::filesystem::path(name).stem().string();
    const bool plain = std::all_of(stem.begin(), stem.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || std::string_view("-_.+ ").find(c) != std::string_view::npos;
    });
    if (!plain) {
      throw UsageError("--predictions: the file's name is the name of its row; expected one of ",
                       "letters, digits and -_.+");
    }
    files.emplace_back(name);
  }
  return files;
}

// The two rows of --compare.
std::vector<std::string> PairOf(const std::string& value) {
  const size_t comma = value.find(',');
  if (comma == std::string::npos || value.find(',', comma + 1) != std::string::npos) {
    throw UsageError("--compare is '", value, "'; expected two rows such as list-grpo,logistic");
  }
  return {value.substr(0, comma), value.substr(comma + 1)};
}

// Throws UsageError if options are there that do not go together.
void CheckTogether(const ParsedOptions& options) {
  const bool on = options.Has("on"), predictions = options.Has("predictions");
  if (on + predictions + options.Has("compare") > 1) {
    throw UsageError("--on, --predictions and --compare: expected at most one of them");
  }
  if (options.Has("out") && !on && !predictions) {
    throw UsageError("--out is for an evaluation --on another hospital or of --predictions");
  }
  for (const char* name : {"years", "lists"}) {
    if (options.Has(name) && !on) {
      throw UsageError("--", name, " is for an evaluation --on another hospital");
    }
  }
}

}  // namespace

void PrintEvaluation(const Config& config, bool as_json) {
  const nlohmann::json evaluation = ReadEvaluation(config);
  std::cout << (as_json ? evaluation.dump() + "\n" : EvaluationTable(evaluation));
}

int RunEvaluate(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  RankSession session(config);
  session.RequireOneProcess("evaluate");
  CheckTogether(options);
  if (options.Has("on")) {
    MakeEvaluateStage(config);  // refuses a config that the run was not made with
    Tell(EvaluateTransfer(config, {options.Text("on"), YearsOf(options),
                                   options.Has("lists") ? options.Text("lists") : ""}),
         options);
    return 0;
  }
  std::vector<std::filesystem::path> files;
  std::vector<std::string> pair;
  if (options.Has("predictions")) files = FilesOf(options.Text("predictions"));
  if (options.Has("compare")) pair = PairOf(options.Text("compare"));
  EvaluateStage(config);
  TellTimes(config);
  if (!files.empty()) {
    Tell(EvaluatePredictions(config, files), options);
  } else if (!pair.empty()) {
    const nlohmann::json comparisons = CompareRows(config, pair[0], pair[1]);
    std::cout << (options.Has("json") ? comparisons.dump() + "\n" : ComparisonLines(comparisons));
  } else {
    PrintEvaluation(config, options.Has("json"));
  }
  return 0;
}

}  // namespace flame
