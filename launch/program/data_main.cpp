// The program flame-data: the commands that make tables and corpora, for `flame`, which has checked
// their options. They need neither libtorch nor MPI, whose loading and unloading takes 0.3 s.
#include "base/log.h"
#include "launch/command/command.h"
#include "launch/program/run.h"

int main(int argc, char** argv) {
  flame::InitLogging(flame::LogLevel::kInfo, -1);
  const flame::Commands commands = {{"prepare", flame::RunPrepareCorpus},
                                    {"synth", flame::RunSynth}};
  return flame::StatusOf([&] { return flame::RunCommand(commands, {argv + 1, argv + argc}); });
}
