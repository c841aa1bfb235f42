// A job of flame on a Slurm cluster: the node of each rank, and the batch file.
#ifndef FLAME_LAUNCH_BATCH_BATCH_FILE_H_
#define FLAME_LAUNCH_BATCH_BATCH_FILE_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/config/config.h"

namespace flame {

struct BatchRequest {
  std::string command;  // one of LaunchCommands()
  int64_t nodes = 1;
  // Ranks per node that learn or sample, with one GPU each; with model.device=cpu the job asks for
  // no GPU.
  int64_t gpus_per_node = 1;
  std::string time;            // in Slurm's notation: 30, 12:00:00, 2-00:00:00
  std::string log_level = "";  // --log-level of each command; empty: the command's default
  bool trace = false;          // --trace for trainings; only the last training's timeline stays
};

// The ranks of a job in order. GPU ranks fill node after node. Reward ranks need no GPU and run
// beside them, one per node from the last node backwards. Worked example, 2 nodes of 2 GPUs and
// cluster.rewards=3: node_of_rank {0, 0, 1, 1, 1, 0, 1}.
struct BatchLayout {
  int64_t learners = 0, rollouts = 0, rewards = 0;  // GRPO ranks; rollouts 0: colocated or one rank
  int64_t gpu_ranks = 1;                            // nodes x gpus_per_node
  std::vector<int> node_of_rank;
};

// Returns pipeline, classifier, list, grpo.
const std::vector<std::string>& LaunchCommands();

// Lays out the job with the config's counts of ranks if it gives any; they must fill the GPUs.
// Without counts, if there is more than one GPU rank and placement is split, half of the GPU ranks
// learn, the others sample, and one more rank scores. Throws UsageError naming the keys.
BatchLayout LayOut(const Config& config, const BatchRequest& request);

// Returns the file for sbatch. All paths are absolute. The folder `run_dir`/launch gets the log
// (job-ID.log) and must contain `config` as config.yaml. Throws UsageError if a path or the time
// cannot be written in a batch file.
std::string BatchFile(const Config& config, const BatchRequest& request, const BatchLayout& layout,
                      const std::filesystem::path& program, const std::filesystem::path& run_dir,
                      const std::filesystem::path& working_directory);

}  // namespace flame

#endif  // FLAME_LAUNCH_BATCH_BATCH_FILE_H_
