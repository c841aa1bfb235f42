#include "rollout/worker.h"

#include <chrono>
#include <cstdio>
#include <utility>

#include "base/error.h"
#include "comm/wire.h"
#include "rollout/weight_sync.h"

namespace flame {
namespace {

constexpr int kRequestTag = 401, kReplyTag = 402;
enum class Kind : int8_t { kStop = 0, kRun = 1, kSync = 2 };

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void Write(const RolloutRequest& request, WireWriter* out) {
  out->Pod(request.step);
  out->Pod(request.policy_version);
  out->Vector(request.task_ids);
  out->Vector(request.tasks);
}

RolloutRequest ReadRequest(WireReader* in) {
  RolloutRequest request;
  request.step = in->Pod<int64_t>();
  request.policy_version = in->Pod<int64_t>();
  request.task_ids = in->Vector<int64_t>();
  request.tasks = in->Vector<int32_t>();
  return request;
}

void Write(const RolloutReply& reply, WireWriter* out) {
  out->Text(reply.shard.string());
  out->Pod(reply.tokens_sampled);
  out->Pod(reply.seconds_rollout);
  out->Pod(reply.seconds_reward);
}

RolloutReply ReadReply(WireReader* in) {
  RolloutReply reply;
  reply.shard = in->Text();
  reply.tokens_sampled = in->Pod<int64_t>();
  reply.seconds_rollout = in->Pod<double>();
  reply.seconds_reward = in->Pod<double>();
  return reply;
}

class LocalRolloutClient : public RolloutClient {
 public:
  explicit LocalRolloutClient(RolloutWorker* worker) : worker_(worker) {}
  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    return {worker_->Run(request)};
  }
  void Sync(const PolicyVersion& policy) override {
    const std::vector<double> there = worker_->Sync(policy.version, policy.adapters);
    CheckCanary(policy.canary, there, policy.dtype, worker_->rank(), policy.version);
  }

 private:
  RolloutWorker* worker_;
};

class RemoteRolloutClient : public RolloutClient {
 public:
  RemoteRolloutClient(Communicator* world, std::vector<int> ranks)
      : world_(world), ranks_(std::move(ranks)) {
    if (ranks_.empty()) throw UsageError("no rollout rank was given; expected at least one");
  }

  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    std::vector<int> asked;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      const RolloutRequest piece = PieceOf(request, i);
      if (piece.tasks.empty()) continue;
      WireWriter out;
      out.Pod(Kind::kRun);
      Write(piece, &out);
      world_->Send(out.Take(), ranks_[i], kRequestTag);
      asked.push_back(ranks_[i]);
    }
    std::vector<RolloutReply> replies;
    for (WireReader& in : TakeReplies(asked)) replies.push_back(ReadReply(&in));
    return replies;
  }

  void Sync(const PolicyVersion& policy) override {
    WireWriter out;
    out.Pod(Kind::kSync);
    out.Text(PackAdapters(policy.version, policy.adapters));
    const std::string message = out.Take();
    for (int rank : ranks_) world_->Send(message, rank, kRequestTag);
    std::vector<WireReader> replies = TakeReplies(ranks_);
    for (size_t i = 0; i < ranks_.size(); ++i) {
      CheckCanary(policy.canary, replies[i].Vector<double>(), policy.dtype, ranks_[i],
                  policy.version);
    }
  }

 private:
  // The i-th of as many contiguous pieces as there are ranks.
  RolloutRequest PieceOf(const RolloutRequest& request, size_t i) const {
    const size_t begin = request.tasks.size() * i / ranks_.size();
    const size_t end = request.tasks.size() * (i + 1) / ranks_.size();
    RolloutRequest piece{request.step, request.policy_version, {}, {}};
    for (size_t t = begin; t < end; ++t) {
      piece.task_ids.push_back(request.task_ids[t]);
      piece.tasks.push_back(request.tasks[t]);
    }
    return piece;
  }

  // One reply a rank, in order. Every reply is taken before an error is thrown, so that none is
  // left over for the next request.
  std::vector<WireReader> TakeReplies(const std::vector<int>& ranks) {
    std::vector<WireReader> replies;
    std::string errors;
    for (int rank : ranks) {
      replies.emplace_back(world_->Receive(rank, kReplyTag).bytes);
      const std::string error = replies.back().Text();
      if (error.empty()) continue;
      errors += StrCat(errors.empty() ? "" : "; ", "rollout rank ", rank, " failed: ", error);
    }
    if (!errors.empty()) throw MachineError(errors);
    return replies;
  }

  Communicator* world_;
  std::vector<int> ranks_;
};

void Serve(Kind kind, WireReader* in, RolloutWorker* worker, WireWriter* out) {
  if (kind == Kind::kRun) {
    const RolloutReply reply = worker->Run(ReadRequest(in));
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

RolloutWorker::RolloutWorker(RolloutContext context, RewardClient* rewards)
    : context_(std::move(context)), rewards_(rewards) {}

RolloutReply RolloutWorker::Run(const RolloutRequest& request) {
  if (request.policy_version != version_) {
    throw MachineError("rank ", context_.rank, " holds the policy of version ", version_,
                       " and was asked to sample with version ", request.policy_version);
  }
  RolloutReply reply;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Group> groups = SampleGroups(context_, request);
  reply.seconds_rollout = SecondsSince(start);
  const auto sampled = std::chrono::steady_clock::now();
  Score(&groups);
  reply.seconds_reward = SecondsSince(sampled);
  for (const Group& group : groups) {
    for (const Trajectory& member : group.members) {
      reply.tokens_sampled += static_cast<int64_t>(member.tokens.size());
    }
  }
  char name[64];
  std::snprintf(name, sizeof(name), "step-%06lld-rank-%d.h5", static_cast<long long>(request.step),
                context_.rank);
  reply.shard = context_.folder / name;
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

std::vector<double> RolloutWorker::Sync(int64_t version,
                                        const std::map<std::string, at::Tensor>& adapters) {
  if (version_ >= 0 && version != version_ + 1) {
    throw MachineError("rank ", context_.rank, " holds version ", version_,
                       " of the adapters and expects ", version_ + 1, " next; it was sent ",
                       version);
  }
  LoadAdapters(adapters, context_.rank, version, context_.policy);
  version_ = version;
  return CanaryLogProbs(*context_.policy);
}

std::unique_ptr<RolloutClient> MakeLocalRolloutClient(RolloutWorker* worker) {
  return std::make_unique<LocalRolloutClient>(worker);
}

std::unique_ptr<RolloutClient> MakeRemoteRolloutClient(Communicator* world,
                                                       std::vector<int> rollout_ranks) {
  return std::make_unique<RemoteRolloutClient>(world, std::move(rollout_ranks));
}

void ServeRollouts(Communicator* world, RolloutWorker* worker, Communicator::Milliseconds idle) {
  while (true) {
    Message message;
    if (!world->TryReceive(Communicator::kAnySource, kRequestTag, idle, &message)) {
      throw MachineError("rollout rank ", worker->rank(),
                         ": learner rank 0 has asked for nothing in ",
                         static_cast<double>(idle.count()) / 1000, " s");
    }
    WireReader in(std::move(message.bytes));
    const Kind kind = in.Pod<Kind>();
    if (kind == Kind::kStop) return;
    WireWriter out;
    try {
      Serve(kind, &in, worker, &out);
    } catch (const std::exception& error) {
      out.Take();
      out.Text(error.what());
    }
    world->Send(out.Take(), message.source, kReplyTag);
  }
}

void StopServingRollouts(Communicator* world, const std::vector<int>& rollout_ranks) {
  WireWriter out;
  out.Pod(Kind::kStop);
  const std::string stop = out.Take();
  for (int rank : rollout_ranks) world->Send(stop, rank, kRequestTag);
}

}  // namespace flame
