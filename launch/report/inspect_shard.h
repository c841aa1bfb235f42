// A shard's groups, printed for people.
#ifndef FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_
#define FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_

#include <cstdint>
#include <filesystem>
#include <iosfwd>

namespace flame {

struct ShowGroups {
  int64_t limit = 2;     // number of groups
  int64_t task_id = -1;  // shows this group only; -1: the first `limit` groups
  bool full = false;     // true: whole prompts; false: only their ends
  bool color = false;    // true: advantages as colours (256-colour terminal); false: as numbers
};

// Prints each group's prompt, edit and list; for each member the text of every step with phi and
// its terms, the reward, and the tokens with their advantages. Names and texts come from the run
// that holds the shard (RUN/grpo/rollouts), credit options from its config.yaml. If they are
// missing, prints ids and uses the defaults, and says so. Throws DataError if `task_id` is not in
// the shard.
void PrintGroups(const std::filesystem::path& shard, const ShowGroups& show, std::ostream& out);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_
