// A job of flame on a Slurm cluster: which rank runs on which node, and the batch file.
#ifndef FLAME_LAUNCH_BATCH_BATCH_FILE_H_
#define FLAME_LAUNCH_BATCH_BATCH_FILE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/run/config.h"

namespace flame {

struct BatchRequest {
  std::string command;  // one of LaunchCommands()
  int64_t nodes = 1;
  // Ranks of a node that learn or sample, a GPU each; with model.device=cpu no GPU is asked for.
  int64_t gpus_per_node = 1;
  std::string time;            // as Slurm writes it: 30, 12:00:00, 2-00:00:00
  std::string log_level = "";  // --log-level of each command, empty: its default
  bool trace = false;          // of trainings; the last one's timeline stays
};

// Ranks of a job in order: GPU ranks fill node after node; those that score need no GPU and run
// beside them, one a node from the last node backwards. Worked example, 2 nodes of 2 GPUs and
// cluster.rewards=3: node_of_rank {0, 0, 1, 1, 1, 0, 1}.
struct BatchLayout {
  int64_t learners = 0, rollouts = 0, rewards = 0;  // of GRPO; rollouts 0: colocated, or one rank
  int64_t gpu_ranks = 1;                            // nodes x gpus_per_node
  std::vector<int> node_of_rank;
};

// pipeline, classifier, list, grpo.
const std::vector<std::string>& LaunchCommands();

// Counts of the config where it gives any, which must fill the GPUs; else half of the GPU ranks
// learn, the others sample, and one more scores. Throws UsageError naming the keys.
BatchLayout LayOut(const Config& config, const BatchRequest& request);

// The file for sbatch. All paths absolute; `run_dir` keeps the log (job-ID.log) in its folder
// launch/, where `config` must lie as config.yaml. Throws UsageError where a path or the time
// cannot stand in a batch file.
std::string BatchFile(const Config& config, const BatchRequest& request, const BatchLayout& layout,
                      const std::filesystem::path& program, const std::filesystem::path& run_dir,
                      const std::filesystem::path& working_directory);

}  // namespace flame

#endif  // FLAME_LAUNCH_BATCH_BATCH_FILE_H_
