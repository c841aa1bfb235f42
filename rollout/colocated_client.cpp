#include "rollout/colocated_client.h"

#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/files/atomic_file.h"
#include "comm/group.h"
#include "comm/tags.h"
#include "rollout/protocol.h"
#include "rollout/shard_folder.h"

namespace flame {
namespace {

class ColocatedRolloutClient : public RolloutClient {
 public:
  ColocatedRolloutClient(RolloutWorker* worker, Communicator* learners,
                         std::function<int64_t(int32_t)> length, const ShardFolder* shards,
                         double* idle_seconds)
      : worker_(worker),
        learners_(learners),
        length_(std::move(length)),
        shards_(shards),
        idle_seconds_(idle_seconds) {}

  void Begin(const RolloutRequest& request) override {
    std::vector<int64_t> lengths;
    for (const int32_t task : request.tasks) lengths.push_back(length_(task));
    const auto parts = DealRequest(request, lengths, learners_->size());
    std::vector<RolloutReply> found = FindShards(parts);
    const size_t rank = static_cast<size_t>(learners_->rank());
    auto& reply = begun_[request.step];
    if (found[rank].reused) {
      reply = std::move(found[rank]);
    } else if (!parts[rank].tasks.empty()) {
      reply = worker_->Run(parts[rank]);
    }
  }

  bool Ready(const RolloutRequest& request) override {
    if (!begun_.contains(request.step)) Begin(request);
    const Clock::time_point start = Clock::now();
    learners_->Barrier();
    *idle_seconds_ += SecondsSince(start);
    return true;
  }

  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    if (!begun_.contains(request.step)) Begin(request);
    std::optional<RolloutReply> own = begun_.extract(request.step).mapped();
    const std::string bytes = own ? std::exchange(own->bytes, {}) : "";
    WireWriter out;
    if (own) {
      out.Pod(!bytes.empty());
      Write(*own, &out);
    }
    std::vector<RolloutReply> replies;
    const std::vector<std::string> texts = GatherTexts(learners_, out.Take());
    for (int rank = 0; rank < learners_->size(); ++rank) {
      if (texts[rank].empty()) continue;
      WireReader in(texts[rank]);
      const bool carried = in.Pod<bool>();
      replies.push_back(ReadRolloutReply(&in));
      if (carried) Carry(rank, bytes, &replies.back());
    }
    return replies;
  }

  void Sync(const PolicyVersion& policy) override {
    const auto there = worker_->Sync(policy.version, TensorsOf(policy.adapters));
    CheckCanary(policy.canary, there, policy.dtype, worker_->rank(), policy.version);
  }

 private:
  // Returns a reply for each part: filled if learner 0 can reuse its shard.
  std::vector<RolloutReply> FindShards(const std::vector<RolloutRequest>& parts) const {
    std::vector<RolloutReply> replies(parts.size());
    if (shards_ == nullptr) return replies;
    WireWriter out;
    for (size_t p = 0; p < parts.size() && learners_->rank() == 0; ++p) {
      replies[p].rank = static_cast<int>(p);
      if (!parts[p].tasks.empty()) shards_->Find(parts[p], &replies[p]);
      Write(replies[p], &out);
    }
    WireReader in(BroadcastText(learners_, out.Take()));
    for (RolloutReply& reply : replies) reply = ReadRolloutReply(&in);
    return replies;
  }

  // Brings the shard that `rank` sampled to learner 0's disk.
  void Carry(int rank, const std::string& own, RolloutReply* reply) const {
    if (learners_->rank() == 0) {
      const std::string bytes = rank == 0 ? own : learners_->Receive(rank, kShardTag).bytes;
      reply->shard = shards_->folder / reply->shard.filename();
      WriteFileAtomically(reply->shard, bytes);
    } else if (learners_->rank() == rank) {
      learners_->Send(own, 0, kShardTag);
    }
  }

  RolloutWorker* worker_;
  Communicator* learners_;
  std::function<int64_t(int32_t)> length_;
  const ShardFolder* shards_;
  double* idle_seconds_;
  std::map<int64_t, std::optional<RolloutReply>> begun_;  // nullopt: no task for this rank
};

}  // namespace

std::unique_ptr<RolloutClient> MakeColocatedRolloutClient(
    RolloutWorker* worker, Communicator* learners, std::function<int64_t(int32_t task)> length,
    const ShardFolder* shards, double* idle_seconds) {
  return std::make_unique<ColocatedRolloutClient>(worker, learners, std::move(length), shards,
                                                  idle_seconds);
}

}  // namespace flame
