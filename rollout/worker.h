// Rollout workers sample groups, have them scored and write shards, here or on other ranks.
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
#include "data/prompt.h"
#include "model/policy.h"
#include "reward/service.h"
#include "rollout/line_trie.h"
#include "rollout/options.h"
#include "rollout/trajectory.h"
#include "rollout/weight_sync.h"

namespace flame {

struct RolloutRequest {
  int64_t step = 0, policy_version = 0;
  std::vector<int64_t> task_ids;  // unique over the run
  std::vector<int32_t> tasks;     // index in the task list, one a task_id
};

struct RolloutReply {
  std::filesystem::path shard;
  int64_t tokens_sampled = 0;
  double seconds_rollout = 0, seconds_reward = 0;
};

// What a worker needs; all references outlive it.
struct RolloutContext {
  Policy* policy;  // the worker's copy; Sync writes its adapters
  const PromptBuilder* prompts;
  const std::vector<ListTask>* tasks;
  SamplingOptions sampling;
  uint64_t seed = 0;             // of the run
  std::filesystem::path folder;  // shards: folder/step-000012-rank-3.h5
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
  RolloutWorker(RolloutContext context, RewardClient* rewards);
  // Refuses (MachineError) a policy_version it does not hold.
  RolloutReply Run(const RolloutRequest& request);
  // Takes adapters of `version`, which must be the present one + 1, or any at start (MachineError),
  // and returns its log-probabilities of the canary sequence for the sender.
  std::vector<double> Sync(int64_t version, const std::map<std::string, at::Tensor>& adapters);
  int rank() const { return context_.rank; }

 private:
  void Score(std::vector<Group>* groups);
  RolloutContext context_;
  RewardClient* rewards_;
  int64_t version_ = -1;
};

// The coordinator's side.
class RolloutClient {
 public:
  virtual ~RolloutClient() = default;
  // Samples and scores; shards in rank order, tasks dealt in contiguous pieces.
  virtual std::vector<RolloutReply> Collect(const RolloutRequest& request) = 0;
  // Hands the adapters to every worker: one buffer with version and SHA-256; then the canary:
  // MachineError naming the rank if its log-probabilities differ from the sender's by more than the
  // dtype's tolerance.
  virtual void Sync(const PolicyVersion& policy) = 0;
};

std::unique_ptr<RolloutClient> MakeLocalRolloutClient(RolloutWorker* worker);
std::unique_ptr<RolloutClient> MakeRemoteRolloutClient(Communicator* world,
                                                       std::vector<int> rollout_ranks);
// Serves requests until StopServingRollouts. Throws MachineError if nothing was asked for `idle`:
// longer than a training step.
void ServeRollouts(Communicator* world, RolloutWorker* worker, Communicator::Milliseconds idle);
void StopServingRollouts(Communicator* world, const std::vector<int>& rollout_ranks);

}  // namespace flame

#endif  // FLAME_ROLLOUT_WORKER_H_
