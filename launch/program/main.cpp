// The program `flame`: help, version, completion, reports and the parsing of every command. Two
// more programs do the rest and take this process over: flame-data makes tables and corpora,
// flame-compute runs all that computes. libtorch alone takes longer to load than all of these to
// answer.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>

#include "base/error.h"
#include "base/files/program_files.h"
#include "base/log.h"
#include "launch/cli/completion.h"
#include "launch/cli/help.h"
#include "launch/cli/version.h"
#include "launch/command/command.h"
#include "launch/program/run.h"

namespace flame {

int RunCompletion(const ParsedOptions& options) {
  std::cout << CompletionScript(options.words[0]);
  return 0;
}

namespace {

// Runs a command that computes nothing; nothing if this one computes.
std::optional<int> RunHere(const std::string& command, const ParsedOptions& options) {
  if (command == "config") return RunConfig(options);
  if (command == "completion") return RunCompletion(options);
  const bool watches = options.Has("status") || options.Has("logs") || options.Has("cancel");
  if (command == "launch" && watches) return RunLaunchWatch(options);
  const bool reports = command == "sweep" && options.words.size() == 2;
  if (reports) return RunSweepReport(options);
  return std::nullopt;
}

// libgomp's threads spin for milliseconds before they sleep by default: where other programs share
// the cores, a training step then takes many times as long. libgomp reads its settings when it is
// loaded, so they are set before. Results do not depend on them.
void LimitSpinning() {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "10000", 1);
}

// The program of lib/flame that runs a command which RunHere() does not.
const char* ProgramFor(const std::string& command, const ParsedOptions& options) {
  const bool tables_only = command == "synth" || (command == "prepare" && options.Has("out"));
  return tables_only ? "flame-data" : "flame-compute";
}

[[noreturn]] void Become(const char* name, char** argv) {
  LimitSpinning();
  const std::string program = (LibraryFolder() / name).string();
  execv(program.c_str(), argv);
  throw MachineError("cannot start ", program, ": ", std::strerror(errno),
                     "; expected it where the build or the installation put it");
}

int Run(char** argv, const Arguments& words) {
  if (words.empty()) {
    std::cerr << ProgramHelp(HelpWidth());
    return static_cast<int>(ExitStatus::kUsage);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::cout << ProgramHelp(HelpWidth());
    return 0;
  }
  if (words[0] == "--version" || words[0] == "version") {
    std::cout << VersionText();
    return 0;
  }
  const Declaration& command = FindDeclaration(words[0]);
  const ParsedOptions options = ParseOptions(command, {words.begin() + 1, words.end()});
  if (options.help) {
    std::cout << CommandHelp(command, HelpWidth());
    return 0;
  }
  const std::optional<int> status = RunHere(command.name, options);
  if (!status) Become(ProgramFor(command.name, options), argv);
  return *status;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  flame::InitLogging(flame::LogLevel::kInfo, -1);
  return flame::StatusOf([&] {
    const int status = flame::Run(argv, {argv + 1, argv + argc});
    flame::FlushStdout();
    return status;
  });
}
