// The coordinator's side of sampling: what learner 0 asks for and gets.
#ifndef FLAME_ROLLOUT_CLIENT_H_
#define FLAME_ROLLOUT_CLIENT_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "rollout/weight_sync.h"

namespace flame {

struct RolloutRequest {
  int64_t step = 0, policy_version = 0;
  int64_t part = 0;               // of the step: one shard each
  std::vector<int64_t> task_ids;  // unique over the run
  std::vector<int32_t> tasks;     // index in the task list, one a task_id
};

// Of one part.
struct RolloutReply {
  std::filesystem::path shard;
  std::string bytes;  // the shard's, where it has yet to be written there
  int rank = 0;       // that sampled it
  int64_t tokens_sampled = 0;
  double seconds_rollout = 0, seconds_reward = 0;
  double seconds_idle = 0;     // of the rank, since its last reply
  int64_t retries = 0;         // ranks that failed at it before
  int64_t reward_retries = 0;  // scorings tried again, and external programs started anew
  std::map<std::string, int64_t> unmatched;  // commonest lines that name no known drug
  bool reused = false;  // the shard was there already, whole, from before the run was stopped
};

class RolloutClient {
 public:
  virtual ~RolloutClient() = default;
  // Sampling of a step may start, at the policy version of the last Sync, while the caller trains.
  virtual void Begin(const RolloutRequest& request) { (void)request; }
  // Whether Collect would not have to wait; begins the step if it was not. A remote client waits
  // itself, for a small share of what a part may take, and throws as Collect does.
  virtual bool Ready(const RolloutRequest& request) {
    (void)request;
    return true;
  }
  // Waits for the step, which is begun if it was not. Samples, scores and writes shards, in order
  // of parts: tasks with long prompts first.
  virtual std::vector<RolloutReply> Collect(const RolloutRequest& request) = 0;
  // Hands the adapters to every worker: one buffer with version and checksum; then the canary:
  // MachineError naming the rank if its log-probabilities differ from the sender's by more than the
  // dtype's tolerance. A client that overlaps syncs throws it from a later call; nothing is sampled
  // in between.
  virtual void Sync(const PolicyVersion& policy) = 0;
};

// A step's tasks in parts for `ranks` workers: by falling length of the prompt, each part an even
// share of half of what is left (guided self-scheduling, Polychronopoulos and Kuck 1987), so that
// the last ones are small. A function of its arguments alone. One rank: one part.
std::vector<RolloutRequest> CutRequest(const RolloutRequest& request,
                                       const std::vector<int64_t>& lengths, int64_t ranks);

// One part a rank, of about equal lengths, for ranks that work in step: tasks by falling length
// dealt out in turn, there and back. Parts may be empty.
std::vector<RolloutRequest> DealRequest(const RolloutRequest& request,
                                        const std::vector<int64_t>& lengths, int64_t ranks);

struct ShardFolder;

struct RemoteRolloutOptions {
  std::vector<int> ranks;                       // of `world` that run ServeRollouts
  std::function<int64_t(int32_t task)> length;  // tokens of its prompt
  bool overlap = false;                         // Sync does not wait for the workers
  Communicator::Milliseconds timeout;           // what one part may take
  // Writes the shards that workers send, and looks for those to use again; null: workers do.
  const ShardFolder* shards = nullptr;
  int64_t versions = 1;  // that a worker holds: the bytes of a sync are kept for as long
};
// A part goes to the next rank that is free, from a thread of its own, which from now on is the
// only one that may use `world`'s messages. One that a rank fails at is tried on another, once.
std::unique_ptr<RolloutClient> MakeRemoteRolloutClient(Communicator* world,
                                                       RemoteRolloutOptions options);
void StopServingRollouts(Communicator* world, const std::vector<int>& rollout_ranks);

}  // namespace flame

#endif  // FLAME_ROLLOUT_CLIENT_H_
