// The program flame-compute: the commands that compute, for `flame`, which has checked their
// options.
#include <cerrno>
#include <cstring>
#include <iostream>
#include <map>

#include "base/error.h"
#include "base/log.h"
#include "comm/watchdog.h"
#include "launch/command/command.h"

namespace flame {
namespace {

using Command = int (*)(const ParsedOptions&);

const std::map<std::string, Command>& Commands() {
  static const std::map<std::string, Command> commands = {
      {"pipeline", RunPipelineCommand},
      {"synth", RunSynth},
      {"prepare", RunPrepare},
      {"sft", RunSftCommand},
      {"tasks", RunTasks},
      {"grpo", RunGrpoCommand},
      {"evaluate", RunEvaluate},
      {"sweep", RunSweep},
      {"export", RunExport},
      {"launch", RunLaunch},
      {"plan", RunPlan},
      {"doctor", RunDoctor},
      {"replay", RunReplay},
      {"inspect", RunInspect},
      {"tokenize", RunTokenize},
      {"generate", RunGenerate},
      {"score", RunScore},
  };
  return commands;
}

int Run(const Arguments& words) {
  const auto command = words.empty() ? Commands().end() : Commands().find(words[0]);
  if (command == Commands().end()) {
    throw UsageError("flame-compute runs commands for flame; expected flame to be started");
  }
  const ParsedOptions options =
      ParseOptions(FindDeclaration(words[0]), {words.begin() + 1, words.end()});
  const int status = command->second(options);
  if (!std::cout.flush()) throw MachineError("stdout: cannot write: ", std::strerror(errno));
  return status;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  flame::InitLogging(flame::LogLevel::kInfo, -1);
  try {
    return flame::Run({argv + 1, argv + argc});
  } catch (const flame::Error& error) {
    flame::AbortJob(static_cast<int>(error.status()), error.what());
  } catch (const std::exception& error) {
    flame::AbortJob(static_cast<int>(flame::ExitStatus::kMachine), error.what());
  }
}
