#include "rollout/worker.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "rollout/protocol.h"

namespace flame {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int64_t TokensOf(const std::vector<Group>& groups) {
  int64_t tokens = 0;
  for (const Group& group : groups) {
    for (const Trajectory& member : group.members) {
      tokens += static_cast<int64_t>(member.tokens.size());
    }
  }
  return tokens;
}

// At most 20 of them.
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
    const std::vector<double> there = worker_->Sync(policy.version, policy.adapters);
    CheckCanary(policy.canary, there, policy.dtype, worker_->rank(), policy.version);
  }

 private:
  RolloutWorker* worker_;
  std::map<int64_t, RolloutReply> begun_;
};

void Serve(RolloutMessage kind, WireReader* in, RolloutWorker* worker, double idle,
           WireWriter* out) {
  out->Pod(kind);
  if (kind == RolloutMessage::kRun) {
    RolloutReply reply = worker->Run(ReadRolloutRequest(in));
    reply.seconds_idle = idle;
    out->Text("");
    Write(reply, out);
  } else {
    const SyncedAdapters synced = UnpackAdapters(in->Text(), worker->rank());
    const std::vector<double> canary = worker->Sync(synced.version, synced.tensors);
    out->Text("");
    out->Vector(canary);
  }
}

}  // namespace

RolloutWorker::RolloutWorker(RolloutContext context, RewardClient* rewards, int64_t versions)
    : context_(std::move(context)), rewards_(rewards), versions_(versions) {}

std::filesystem::path RolloutWorker::ShardOf(const RolloutRequest& request) const {
  char name[64];
  std::snprintf(name, sizeof(name), "step-%06lld-part-%03lld.h5",
                static_cast<long long>(request.step), static_cast<long long>(request.part));
  return context_.folder / name;
}

// A training that goes on from a checkpoint meets the shards of the steps behind it. They are what
// would be sampled again.
bool RolloutWorker::Recorded(const RolloutRequest& request, RolloutReply* reply) const {
  if (!std::filesystem::exists(reply->shard)) return false;
  ShardInfo info;
  std::vector<Group> groups;
  try {
    groups = ReadShard(reply->shard, &info);
  } catch (const DataError& error) {
    LogWarning(error.what(), "; it is sampled again");
    return false;
  }
  bool same = info.seed == static_cast<int64_t>(context_.seed) && info.step == request.step &&
              info.config_sha256 == context_.config_sha256 && groups.size() == request.tasks.size();
  for (size_t g = 0; same && g < groups.size(); ++g) {
    same = groups[g].task_id == request.task_ids[g] && groups[g].task == request.tasks[g] &&
           groups[g].policy_version == request.policy_version;
  }
  if (same) reply->tokens_sampled = TokensOf(groups);
  return same;
}

RolloutReply RolloutWorker::Run(const RolloutRequest& request) {
  Use(request.policy_version);
  RolloutReply reply;
  reply.rank = context_.rank;
  reply.shard = ShardOf(request);
  reply.reused = Recorded(request, &reply);
  if (reply.reused) return reply;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Group> groups = SampleGroups(context_, request);
  reply.seconds_rollout = SecondsSince(start);
  const auto sampled = std::chrono::steady_clock::now();
  Score(&groups);
  reply.seconds_reward = SecondsSince(sampled);
  reply.reward_retries = rewards_->TakeRetries();
  reply.tokens_sampled = TokensOf(groups);
  reply.unmatched = CommonestUnmatched(groups);
  WriteShard(
      groups,
      {static_cast<int64_t>(context_.seed), request.step, context_.rank, context_.config_sha256},
      reply.shard);
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
  if (held == held_.end()) {
    throw MachineError("rank ", context_.rank, " holds the policy of version ", last_,
                       held_.size() > 1 ? StrCat(" and ", held_.size() - 1, " before it") : "",
                       " and was asked to sample with version ", version);
  }
  LoadAdapters(held->second, context_.rank, version, context_.policy);
  used_ = version;
}

std::vector<double> RolloutWorker::Sync(int64_t version, const NamedTensors& adapters) {
  if (last_ >= 0 && version != last_ + 1) {
    throw MachineError("rank ", context_.rank, " holds version ", last_,
                       " of the adapters and expects ", last_ + 1, " next; it was sent ", version);
  }
  held_[version] = adapters;
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
  while (true) {
    Message message;
    const auto start = std::chrono::steady_clock::now();
    if (!world->TryReceive(Communicator::kAnySource, kRolloutRequestTag, idle, &message)) {
      throw MachineError("rollout rank ", worker->rank(),
                         ": learner rank 0 has asked for nothing in ",
                         static_cast<double>(idle.count()) / 1000, " s");
    }
    idle_seconds += SecondsSince(start);
    since_reply += SecondsSince(start);
    WireReader in(std::move(message.bytes));
    const auto kind = in.Pod<RolloutMessage>();
    if (kind == RolloutMessage::kStop) return idle_seconds;
    WireWriter out;
    try {
      Serve(kind, &in, worker, since_reply, &out);
      if (kind == RolloutMessage::kRun) since_reply = 0;
    } catch (const std::exception& error) {
      out.Take();
      out.Pod(kind);
      out.Text(error.what());
    }
    world->Send(out.Take(), message.source, kRolloutReplyTag);
  }
}

}  // namespace flame
