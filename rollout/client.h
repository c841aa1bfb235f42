// The coordinator's side of sampling: what learner 0 requests and what it gets.
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
  int64_t part = 0;               // index of the part in its step; one shard each
  std::vector<int64_t> task_ids;  // unique over the run
  std::vector<int32_t> tasks;     // indices in the task list, one for each task_id
};

// The result of one part.
struct RolloutReply {
  std::filesystem::path shard;
  std::string bytes;  // content of the shard, if it is not written yet
  int rank = 0;       // the rank that sampled the part
  int64_t tokens_sampled = 0;
  double seconds_rollout = 0, seconds_reward = 0;
  double seconds_idle = 0;     // idle time of the rank since its last reply
  int64_t retries = 0;         // ranks that failed at the part before
  int64_t reward_retries = 0;  // scorings tried again plus restarts of external programs
  std::map<std::string, int64_t> unmatched;  // most frequent lines that name no known drug
  bool reused = false;  // true: the whole shard already existed, from before a stop
};

class RolloutClient {
 public:
  virtual ~RolloutClient() = default;
  // Allows sampling of a step to start, at the policy version of the last Sync, while the caller
  // trains.
  virtual void Begin(const RolloutRequest& request) { (void)request; }
  // True if Collect would not have to wait. Begins the step if it has not begun. A remote client
  // waits here for a small share of a part's time limit, and throws like Collect.
  virtual bool Ready(const RolloutRequest& request) {
    (void)request;
    return true;
  }
  // Waits for the step, beginning it first if it has not begun. Samples, scores and writes shards,
  // in the order of parts: tasks with long prompts first.
  virtual std::vector<RolloutReply> Collect(const RolloutRequest& request) = 0;
  // Hands the adapters to every worker as one buffer with version and checksum, then runs the
  // canary: throws MachineError, naming the rank, if its log-probabilities differ from the sender's
  // by more than the dtype's tolerance. A client that overlaps syncs throws from a later call; it
  // samples nothing in between.
  virtual void Sync(const PolicyVersion& policy) = 0;
};

// Cuts a step's tasks into parts for `ranks` workers. Tasks are ordered by falling prompt length,
// and each part is an even share of half of the remaining tasks (guided self-scheduling,
// Polychronopoulos and Kuck 1987), so that the last parts are small. Depends on nothing but its
// arguments. One rank gets one part.
std::vector<RolloutRequest> CutRequest(const RolloutRequest& request,
                                       const std::vector<int64_t>& lengths, int64_t ranks);

// Divides a step's tasks into one part for each rank, of about equal prompt lengths, for ranks that
// wait for each other: tasks, longest prompt first, go to ranks 0, 1, ..., n - 1, n - 1, ..., 0 and
// so on. Parts may be empty.
std::vector<RolloutRequest> DealRequest(const RolloutRequest& request,
                                        const std::vector<int64_t>& lengths, int64_t ranks);

struct ShardFolder;

struct RemoteRolloutOptions {
  std::vector<int> ranks;                       // ranks of `world` that run ServeRollouts
  std::function<int64_t(int32_t task)> length;  // tokens of the task's prompt
  bool overlap = false;                         // Sync does not wait for the workers
  Communicator::Milliseconds timeout;           // time limit of one part
  // Writes the shards that workers send and finds reusable ones; null: the workers do both.
  const ShardFolder* shards = nullptr;
  // Adapter versions that a worker keeps; the buffers of that many syncs stay allocated.
  int64_t versions = 1;
};
// Gives each part to the next free rank, from a thread of its own; from then on only that thread
// may use `world`'s messages. A part that a rank fails at is tried once on another rank.
std::unique_ptr<RolloutClient> MakeRemoteRolloutClient(Communicator* world,
                                                       RemoteRolloutOptions options);
void StopServingRollouts(Communicator* world, const std::vector<int>& rollout_ranks);

}  // namespace flame

#endif  // FLAME_ROLLOUT_CLIENT_H_
