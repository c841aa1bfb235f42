// Runs this program as a child process.
#ifndef FLAME_BASE_CHILD_PROCESS_H_
#define FLAME_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flame {

// Environment variable that numbers, from 0, the flame processes that share a machine without being
// ranks of one job.
inline constexpr char kPlaceVariable[] = "FLAME_PLACE";

// Starts `flame WORDS` with its output appended to `log` and an empty stdin. The child is no rank
// of the job that this process may be in, and is killed when this process dies. `place` numbers the
// running children from 0 and picks the child's GPU, as a rank's place on its machine does. Throws
// MachineError if the child cannot be started.
pid_t StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                 int place);

// Returns the exit status of a child that has ended (128 + N if signal N killed it), or nothing
// while it runs. Throws MachineError if `child` is no child of this process.
std::optional<int> ExitStatusOf(pid_t child);

}  // namespace flame

#endif  // FLAME_BASE_CHILD_PROCESS_H_
