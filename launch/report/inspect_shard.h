// A shard's groups as a person reads them.
#ifndef FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_
#define FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_

#include <cstdint>
#include <filesystem>
#include <iosfwd>

namespace flame {

struct ShowGroups {
  int64_t limit = 2;     // groups
  int64_t task_id = -1;  // this one alone; -1: the first ones
  bool full = false;     // whole prompts, not their ends
  bool color = false;    // advantages as colours of the terminal's 256; else as numbers
};

// Prompt, edit and list shown; of each member every step's text with phi and its terms, the reward
// and the tokens with their advantages. Names and texts are those of the run that the shard lies in
// (RUN/grpo/rollouts), the advantages of its config.yaml; where they are not there, ids and the
// defaults, which is said. Throws DataError where `task_id` is not in the shard.
void PrintGroups(const std::filesystem::path& shard, const ShowGroups& show, std::ostream& out);

}  // namespace flame

#endif  // FLAME_LAUNCH_REPORT_INSPECT_SHARD_H_
