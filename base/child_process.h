// This program again, as a child.
#ifndef FLAME_BASE_CHILD_PROCESS_H_
#define FLAME_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace flame {

// Environment variable of processes that are no ranks but share a machine: the place of this one
// among them, from 0.
inline constexpr char kPlaceVariable[] = "FLAME_PLACE";

// Starts `flame WORDS`; its output is appended to `log`, its stdin is empty. It is no rank of the
// job that this process may be in, and it is killed when this process dies. `place` (from 0) among
// the children at work picks its GPU, as a rank's place on its machine does. Throws MachineError.
pid_t StartFlame(const std::vector<std::string>& words, const std::filesystem::path& log,
                 int place);

// The exit status of a child that has ended, 128 + N where signal N killed it; nothing while it
// runs. Throws MachineError where it is no child of this process.
std::optional<int> ExitStatusOf(pid_t child);

}  // namespace flame

#endif  // FLAME_BASE_CHILD_PROCESS_H_
