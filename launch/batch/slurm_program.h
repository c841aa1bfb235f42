// Calls of Slurm's programs as child processes.
#ifndef FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_
#define FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_

#include <string>
#include <vector>

namespace flame {

inline constexpr int kOutOfTime = 124;

struct ProgramAnswer {
  int status = 0;    // exit status; kOutOfTime: ended by the time limit; 127: no such program
  std::string text;  // output without trailing line ends
};

enum class Errors { kInText, kOnStderr };

// Runs `words`, a program and its arguments, for at most `seconds`. Its stderr goes into the text
// (kInText) or to this process's stderr. Throws MachineError if no process can be started.
ProgramAnswer AskProgram(const std::vector<std::string>& words, int seconds, Errors errors);

}  // namespace flame

#endif  // FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_
