// Rollout workers sample groups, have them scored and write shards.
#ifndef FLAME_ROLLOUT_WORKER_H_
#define FLAME_ROLLOUT_WORKER_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/list_task.h"
#include "data/prompts/prompt.h"
#include "model/policy.h"
#include "reward/service.h"
#include "rollout/client.h"
#include "rollout/line_trie.h"
#include "rollout/options.h"
#include "rollout/shard_folder.h"
#include "rollout/trajectory.h"
#include "rollout/weight_sync.h"

namespace flame {

// What a worker needs; all references outlive it.
struct RolloutContext {
  Policy* policy;  // the worker's copy; Sync gives it adapters
  const PromptBuilder* prompts;
  const std::vector<ListTask>* tasks;
  SamplingOptions sampling;
  uint64_t seed = 0;             // of the run
  std::filesystem::path folder;  // of shards; empty: they travel in replies
  int rank = 0;                  // in the world
  std::string config_sha256;
  const LineTrie* lines = nullptr;  // every line of a list is one of these; null: any text
};

// Samples group_size members for each task of `request`; their verdicts are empty. Token t of a
// member is drawn by a number that depends on (seed, task id, member, t) only, so neither the batch
// nor the rank matters. Throws DataError on a task out of range, UsageError where a prompt plus
// max_tokens exceeds the policy's positions, MachineError on logits that are not finite.
std::vector<Group> SampleGroups(const RolloutContext& context, const RolloutRequest& request);

class RolloutWorker {
 public:
  // Holds the adapters of the last `versions` syncs.
  RolloutWorker(RolloutContext context, RewardClient* rewards, int64_t versions = 1);
  // Samples under the asked-for version; refuses (MachineError) one that it does not hold. A whole
  // shard of the same request and settings that lies there from before is taken as it is.
  RolloutReply Run(const RolloutRequest& request);
  // Takes adapters of `version`, which must be the last one + 1, or any at start (MachineError),
  // and returns its log-probabilities of the canary sequence for the sender. They stay as they are
  // while they are held; `in_place`: the policy may use them where they lie (UseAdapters).
  std::vector<double> Sync(int64_t version, const NamedTensors& adapters, bool in_place = false);
  int rank() const { return context_.rank; }

 private:
  void Score(std::vector<Group>* groups);
  void Use(int64_t version);
  RolloutContext context_;
  ShardFolder shards_;
  RewardClient* rewards_;
  int64_t versions_;
  std::map<int64_t, NamedTensors> held_;  // by version
  bool in_place_ = false;
  int64_t used_ = -1, last_ = -1;
};

// The worker in this process; samples a step when it is begun.
std::unique_ptr<RolloutClient> MakeLocalRolloutClient(RolloutWorker* worker);
// Serves requests until StopServingRollouts; returns the seconds that it had nothing to do. Throws
// MachineError if nothing was asked for `idle`: longer than a training step.
double ServeRollouts(Communicator* world, RolloutWorker* worker, Communicator::Milliseconds idle);

}  // namespace flame

#endif  // FLAME_ROLLOUT_WORKER_H_
