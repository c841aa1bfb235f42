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

// Everything that a worker needs. All pointers must stay valid while it exists.
struct RolloutContext {
  Policy* policy;  // the worker's own copy; Sync changes its adapters
  const PromptBuilder* prompts;
  const std::vector<ListTask>* tasks;
  SamplingOptions sampling;
  uint64_t seed = 0;             // the run's seed
  std::filesystem::path folder;  // where shards are written; empty: shards travel in the replies
  int rank = 0;                  // rank in the world
  std::string config_sha256;
  const LineTrie* lines = nullptr;  // the only lines that a list may have; null: any text
};

// Samples group_size members for each task of `request`; their verdicts are empty. The number that
// draws token t of a member depends only on (seed, task id, member, t), so neither the batch nor
// the rank matters. Throws DataError if a task is out of range, UsageError if a prompt plus
// max_tokens exceeds the policy's positions, and MachineError if logits are not finite.
std::vector<Group> SampleGroups(const RolloutContext& context, const RolloutRequest& request);

class RolloutWorker {
 public:
  // Keeps the adapters of the last `versions` syncs.
  RolloutWorker(RolloutContext context, RewardClient* rewards, int64_t versions = 1);
  // Samples under the requested version. Throws MachineError if it does not hold that version.
  // Returns a whole shard of the same request and settings, if one exists, instead of sampling.
  RolloutReply Run(const RolloutRequest& request);
  // Takes the adapters of `version` and returns this rank's log-probabilities of the canary
  // sequence, which the sender checks. Throws MachineError unless `version` is the last one + 1, or
  // the first one. The adapters must stay unchanged while they are held. `in_place` lets the policy
  // use their memory (UseAdapters).
  std::vector<double> Sync(int64_t version, const NamedTensors& adapters, bool in_place = false);
  int rank() const { return context_.rank; }

 private:
  void Score(std::vector<Group>* groups);
  void Use(int64_t version);
  RolloutContext context_;
  ShardFolder shards_;
  RewardClient* rewards_;
  int64_t versions_;
  std::map<int64_t, NamedTensors> held_;  // key: version
  bool in_place_ = false;
  int64_t used_ = -1, last_ = -1;
};

// Returns a client for the worker in this process; it samples a step when the step begins.
std::unique_ptr<RolloutClient> MakeLocalRolloutClient(RolloutWorker* worker);
// Serves requests until StopServingRollouts. Returns the idle seconds. Throws MachineError if no
// request comes for `idle`, which must be longer than a training step.
double ServeRollouts(Communicator* world, RolloutWorker* worker, Communicator::Milliseconds idle);

}  // namespace flame

#endif  // FLAME_ROLLOUT_WORKER_H_
