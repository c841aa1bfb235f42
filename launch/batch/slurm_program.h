// Programs of Slurm, asked as children.
#ifndef FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_
#define FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_

#include <string>
#include <vector>

namespace flame {

inline constexpr int kOutOfTime = 124;

struct ProgramAnswer {
  int status = 0;    // exit status; kOutOfTime where it was ended for that, 127 where there is none
  std::string text;  // what it printed, line ends at the end taken off
};

enum class Errors { kInText, kOnStderr };

// Runs `words`, the program first, for at most so many seconds. What it says on stderr is in the
// text too, or goes where this process's goes. Throws MachineError where nothing can be started.
ProgramAnswer AskProgram(const std::vector<std::string>& words, int seconds, Errors errors);

}  // namespace flame

#endif  // FLAME_LAUNCH_BATCH_SLURM_PROGRAM_H_
