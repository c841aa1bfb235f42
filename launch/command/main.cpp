#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "base/config.h"
#include "base/error.h"
#include "base/log.h"
#include "comm/watchdog.h"
#include "launch/command/command.h"

namespace flame {
namespace {

void PrintUsage(std::ostream& out) {
  out << "flame pipeline --config configs/quickstart.yaml\n\n"
         "Trains language models to recommend medication. Research software: not for treating\n"
         "patients.\n\nCommands (flame COMMAND --help):\n";
  for (const Command& command : Commands()) {
    out << "  " << command.name << std::string(10 - std::string(command.name).size(), ' ')
        << command.summary << "\n";
  }
}

const Command& FindCommand(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : Commands()) {
    if (name == command.name) return command;
    names.push_back(command.name);
  }
  const std::string nearest = NearestWord(name, names);
  throw UsageError("'", name, "' is not a command",
                   nearest.empty() ? "" : "; nearest is '" + nearest + "'", "; see flame --help");
}

// By default libgomp's threads spin for milliseconds before they sleep: where other programs share
// the cores, a training step then takes many times as long. It reads its settings when it is
// loaded, before main, so the program starts itself again with a short spin. Results do not depend
// on it.
void LimitSpinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "10000", 1);
  execv("/proc/self/exe", argv);  // where that fails: as it is
}

int Run(const Arguments& words) {
  if (words.empty()) {
    PrintUsage(std::cerr);
    return static_cast<int>(ExitStatus::kUsage);
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    PrintUsage(std::cout);
    return 0;
  }
  const int status = FindCommand(words[0]).run({words.begin() + 1, words.end()});
  if (!std::cout.flush()) throw MachineError("stdout: cannot write: ", std::strerror(errno));
  return status;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  flame::LimitSpinning(argv);
  flame::InitLogging(flame::LogLevel::kInfo, -1);
  try {
    return flame::Run({argv + 1, argv + argc});
  } catch (const flame::Error& error) {
    flame::AbortJob(static_cast<int>(error.status()), error.what());
  } catch (const std::exception& error) {
    flame::AbortJob(static_cast<int>(flame::ExitStatus::kMachine), error.what());
  }
}
