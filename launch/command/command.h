// The commands of the program. Each returns its exit status and throws its failures.
#ifndef FLAME_LAUNCH_COMMAND_COMMAND_H_
#define FLAME_LAUNCH_COMMAND_COMMAND_H_

#include "launch/cli/parse_options.h"

namespace flame {

// Commands, or options of commands, that need neither libtorch nor MPI: the program `flame` answers
// them itself.
int RunConfig(const ParsedOptions& options);
int RunCompletion(const ParsedOptions& options);
int RunSweepReport(const ParsedOptions& options);  // sweep status, sweep report
int RunLaunchWatch(const ParsedOptions& options);  // launch --status, --logs, --cancel

// Commands that need no libtorch either but libraries of their own, in the program flame-data.
int RunPrepareCorpus(const ParsedOptions& options);  // prepare --out
int RunSynth(const ParsedOptions& options);

// Commands that compute, in the program flame-compute.
int RunPipelineCommand(const ParsedOptions& options);
int RunPrepare(const ParsedOptions& options);
int RunEncode(const ParsedOptions& options);
int RunSftCommand(const ParsedOptions& options);
int RunTasks(const ParsedOptions& options);
int RunGrpoCommand(const ParsedOptions& options);
int RunEvaluate(const ParsedOptions& options);
int RunSweep(const ParsedOptions& options);
int RunExport(const ParsedOptions& options);
int RunLaunch(const ParsedOptions& options);
int RunPlan(const ParsedOptions& options);
int RunDoctor(const ParsedOptions& options);
int RunReport(const ParsedOptions& options);
int RunReplay(const ParsedOptions& options);
int RunInspect(const ParsedOptions& options);
int RunTokenize(const ParsedOptions& options);
int RunGenerate(const ParsedOptions& options);
int RunScore(const ParsedOptions& options);

}  // namespace flame

#endif  // FLAME_LAUNCH_COMMAND_COMMAND_H_
