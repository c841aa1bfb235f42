#include "rollout/worker.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "comm/watchdog.h"
#include "rollout/adapter_transfer.h"
#include "rollout/protocol.h"

namespace flame {
namespace {

// Returns the most frequent unmatched lines, at most 20.
std::map<std::string, int64_t> CommonestUnmatched(const std::vector<Group>& groups) {
  std::map<std::string, int64_t> counts;
  for (const Group& group : groups) {
    for (const Trajectory& member : group.members) {
      for (const std::string& text : member.verdict.unmatched) ++counts[text];
    }
  }
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  sorted.resize(std::min<size_t>(sorted.size(), 20));
  return {sorted.begin(), sorted.end()};
}

class LocalRolloutClient : public RolloutClient {
 public:
  explicit LocalRolloutClient(RolloutWorker* worker) : worker_(worker) {}
  void Begin(const RolloutRequest& request) override {
    begun_[request.step] = worker_->Run(request);
  }
  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    if (!begun_.contains(request.step)) Begin(request);
    return {begun_.extract(request.step).mapped()};
  }
  void Sync(const PolicyVersion& policy) override {
    const std::vector<double> there = worker_->Sync(policy.version, TensorsOf(policy.adapters));
    CheckCanary(policy.canary, there, policy.dtype, worker_->rank(), policy.version);
  }

 private:
  RolloutWorker* worker_;
  std::map<int64_t, RolloutReply> begun_;
};

// Writes the part of the answer that follows its kind and error.
void Serve(RolloutMessage kind, const Message& message, AdapterReceiver* receiver,
           RolloutWorker* worker, double idle, WireReader* in, WireWriter* out) {
  if (kind == RolloutMessage::kRun) {
    RolloutReply reply = worker->Run(ReadRolloutRequest(in));
    reply.seconds_idle = idle;
    Write(reply, out);
  } else {
    const PackedAdapters packed = receiver->Take(message.source, in);
    out->Vector(worker->Sync(packed.version, TensorsOf(packed), /*in_place=*/true));
  }
}

}  // namespace

RolloutWorker::RolloutWorker(RolloutContext context, RewardClient* rewards, int64_t versions)
    : context_(std::move(context)),
      shards_{context_.folder, context_.seed, context_.config_sha256},
      rewards_(rewards),
      versions_(versions) {}

RolloutReply RolloutWorker::Run(const RolloutRequest& request) {
  Use(request.policy_version);
  RolloutReply reply;
  reply.rank = context_.rank;
  const bool carried = context_.folder.empty();
  if (!carried && shards_.Find(request, &reply)) return reply;
  reply.shard = shards_.PathOf(request);
  const auto start = std::chrono::steady_clock::now();
  std::vector<Group> groups = SampleGroups(context_, request);
  reply.seconds_rollout = SecondsSince(start);
  const auto sampled = std::chrono::steady_clock::now();
  Score(&groups);
  reply.seconds_reward = SecondsSince(sampled);
  reply.reward_retries = rewards_->TakeRetries();
  reply.tokens_sampled = TokensOf(groups);
  reply.unmatched = CommonestUnmatched(groups);
  const ShardInfo info{static_cast<int64_t>(context_.seed), request.step, context_.rank,
                       context_.config_sha256};
  if (carried) {
    reply.bytes = EncodeShard(groups, info);
  } else {
    WriteShard(groups, info, reply.shard);
  }
  return reply;
}

void RolloutWorker::Score(std::vector<Group>* groups) {
  std::vector<ScoreRequest> requests;
  for (const Group& group : *groups) {
    const ListTask& task = (*context_.tasks)[group.task];
    ScoreRequest request{group.task_id, task.visit, task.edit, task.input, {}};
    for (const Trajectory& member : group.members) request.completions.push_back(member.tokens);
    requests.push_back(std::move(request));
  }
  std::vector<std::vector<Verdict>> verdicts = rewards_->Score(requests);
  for (size_t g = 0; g < groups->size(); ++g) {
    for (size_t m = 0; m < (*groups)[g].members.size(); ++m) {
      (*groups)[g].members[m].verdict = std::move(verdicts[g][m]);
    }
  }
}

void RolloutWorker::Use(int64_t version) {
  if (version == used_) return;
  const auto held = held_.find(version);
  if (held_.empty()) {
    throw MachineError("rank ", context_.rank, " holds no whole policy and was asked to sample ",
                       "with version ", version);
  }
  if (held == held_.end()) {
    throw MachineError("rank ", context_.rank, " holds the policy of version ", last_,
                       held_.size() > 1 ? StrCat(" and ", held_.size() - 1, " before it") : "",
                       " and was asked to sample with version ", version);
  }
  (in_place_ ? UseAdapters : LoadAdapters)(held->second, context_.policy);
  used_ = version;
}

std::vector<double> RolloutWorker::Sync(int64_t version, const NamedTensors& adapters,
                                        bool in_place) {
  if (last_ >= 0 && version != last_ + 1) {
    throw MachineError("rank ", context_.rank, " holds version ", last_,
                       " of the adapters and expects ", last_ + 1, " next; it was sent ", version);
  }
  CheckAdapters(EntriesOf(adapters), context_.rank, version, *context_.policy);
  held_[version] = adapters;
  in_place_ = in_place;
  used_ = -1;
  Use(version);
  last_ = version;
  held_.erase(held_.begin(), held_.lower_bound(version - versions_ + 1));
  return CanaryLogProbs(*context_.policy);
}

std::unique_ptr<RolloutClient> MakeLocalRolloutClient(RolloutWorker* worker) {
  return std::make_unique<LocalRolloutClient>(worker);
}

double ServeRollouts(Communicator* world, RolloutWorker* worker, Communicator::Milliseconds idle) {
  double idle_seconds = 0, since_reply = 0;
  AdapterReceiver receiver(world);
  while (true) {
    Message message;
    const auto start = std::chrono::steady_clock::now();
    if (!world->TryReceive(Communicator::kAnySource, kRolloutRequestTag, idle, &message)) {
      throw MachineError("rollout ", RankName(worker->rank()),
                         ": learner rank 0 has asked for nothing in ",
                         static_cast<double>(idle.count()) / 1000, " s");
    }
    idle_seconds += SecondsSince(start);
    since_reply += SecondsSince(start);
    WireReader in(std::move(message.bytes));
    const auto kind = in.Pod<RolloutMessage>();
    if (kind == RolloutMessage::kStop) return idle_seconds;
    WireWriter out;
    out.Pod(kind);
    try {
      WireWriter answer;
      Serve(kind, message, &receiver, worker, since_reply, &in, &answer);
      out.Text("");
      out.Bytes(answer.Take());
      if (kind == RolloutMessage::kRun) since_reply = 0;
    } catch (const std::exception& error) {
      out.Text(error.what());
    }
    world->Send(out.Take(), message.source, kRolloutReplyTag);
  }
}

}  // namespace flame
