// The program flame-compute: the commands that compute, for `flame`, which has checked their
// options.
#include "base/error.h"
#include "base/log.h"
#include "comm/watchdog.h"
#include "launch/command/command.h"
#include "launch/program/run.h"

namespace flame {
namespace {

const Commands& ComputingCommands() {
  static const Commands commands = {
      {"pipeline", RunPipelineCommand},
      {"prepare", RunPrepare},
      {"encode", RunEncode},
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
      {"report", RunReport},
      {"tokenize", RunTokenize},
      {"generate", RunGenerate},
      {"score", RunScore},
  };
  return commands;
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  flame::InitLogging(flame::LogLevel::kInfo, -1);
  try {
    return flame::RunCommand(flame::ComputingCommands(), {argv + 1, argv + argc});
  } catch (const flame::Error& error) {
    flame::AbortJob(static_cast<int>(error.status()), error.what());
  } catch (const std::exception& error) {
    flame::AbortJob(static_cast<int>(flame::ExitStatus::kMachine), error.what());
  }
}
