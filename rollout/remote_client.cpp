#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "comm/watchdog.h"
#include "rollout/adapter_transfer.h"
#include "rollout/protocol.h"
#include "rollout/shard_folder.h"

namespace flame {
namespace {

// The longest wait for replies before the thread checks for new orders.
constexpr Communicator::Milliseconds kLook(20);

struct Part {
  RolloutRequest request;
  int64_t retries = 0;
  int failed_on = -1;
};

struct Step {
  std::vector<RolloutReply> replies;  // [parts]
  int64_t missing = 0;
};

// A rank's present order, and when it was sent.
struct Worker {
  size_t syncs = 0;  // syncs sent to the rank so far
  std::optional<Part> part;
  bool syncing = false;
  Clock::time_point since;
  bool busy() const { return syncing || part.has_value(); }
};

class RemoteRolloutClient : public RolloutClient {
 public:
  RemoteRolloutClient(Communicator* world, RemoteRolloutOptions options)
      : world_(world), options_(std::move(options)), sender_(world) {
    if (options_.ranks.empty()) {
      throw UsageError("no rollout rank was given; expected at least one");
    }
    for (const int rank : options_.ranks) workers_[rank];
    thread_ = std::thread([this] { Run(); });
  }
  ~RemoteRolloutClient() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ordered_.notify_all();
    thread_.join();
  }

  void Begin(const RolloutRequest& request) override {
    std::vector<int64_t> lengths;
    for (const int32_t task : request.tasks) lengths.push_back(options_.length(task));
    auto parts = CutRequest(request, lengths, static_cast<int64_t>(options_.ranks.size()));
    std::vector<RolloutReply> replies(parts.size());
    std::deque<Part> missing;
    for (RolloutRequest& part : parts) {
      const bool there = options_.shards != nullptr &&
                         options_.shards->Find(part, &replies[static_cast<size_t>(part.part)]);
      if (!there) missing.push_back({std::move(part)});
    }
    const std::lock_guard lock(mutex_);
    steps_[request.step] = {std::move(replies), static_cast<int64_t>(missing.size())};
    std::move(missing.begin(), missing.end(), std::back_inserter(waiting_));
    ordered_.notify_all();
  }

  bool Ready(const RolloutRequest& request) override {
    std::unique_lock lock(mutex_);
    const Step& step = BegunLocked(&lock, request);
    answered_.wait_for(lock, options_.timeout / 8,
                       [&] { return error_ != nullptr || step.missing == 0; });
    if (error_ != nullptr) std::rethrow_exception(error_);
    return step.missing == 0;
  }

  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    std::unique_lock lock(mutex_);
    Step& step = BegunLocked(&lock, request);
    AwaitLocked(&lock, [&] { return step.missing == 0; });
    std::vector<RolloutReply> replies = std::move(step.replies);
    steps_.erase(request.step);
    return replies;
  }

  void Sync(const PolicyVersion& policy) override {
    std::unique_lock lock(mutex_);
    syncs_.push_back(policy);
    unconfirmed_ = options_.ranks.size();
    ordered_.notify_all();
    AwaitLocked(&lock, [&] { return options_.overlap || unconfirmed_ == 0; });
  }

 private:
  // Returns the step, begun if it was not. The reference is valid until the step is collected.
  Step& BegunLocked(std::unique_lock<std::mutex>* lock, const RolloutRequest& request) {
    if (!steps_.contains(request.step)) {
      lock->unlock();
      Begin(request);
      lock->lock();
    }
    return steps_.at(request.step);
  }

  template <class Done>
  void AwaitLocked(std::unique_lock<std::mutex>* lock, const Done& done) {
    answered_.wait(*lock, [&] { return error_ != nullptr || done(); });
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

  // The thread's body.
  void Run() {
    try {
      while (true) {
        {
          std::unique_lock lock(mutex_);
          ordered_.wait(lock, [&] { return stopping_ || AnyBusy() || GiveOut(); });
          if (stopping_) return;
          GiveOut();
        }
        Look();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      error_ = std::current_exception();
      answered_.notify_all();
    }
  }

  bool AnyBusy() const {
    return std::any_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker.second.busy(); });
  }

  // Gives every free worker its next order: a policy version that it lacks, else a part. Returns
  // true if anything was given.
  bool GiveOut() {
    bool given = false;
    for (const int rank : options_.ranks) {
      Worker& worker = workers_.at(rank);
      if (worker.busy()) continue;
      given |= worker.syncs < num_syncs() ? SendSync(rank, &worker) : SendPart(rank, &worker);
    }
    return given;
  }
  size_t num_syncs() const { return forgotten_ + syncs_.size(); }

  bool SendSync(int rank, Worker* worker) {
    const PackedAdapters& adapters = syncs_[worker->syncs - forgotten_].adapters;
    if (!sender_.Order(adapters, /*oldest=*/syncs_.front().version, rank)) return false;
    ++worker->syncs;
    worker->syncing = true;
    worker->since = Clock::now();
    return true;
  }

  bool SendPart(int rank, Worker* worker) {
    const auto next = std::find_if(waiting_.begin(), waiting_.end(),
                                   [&](const Part& part) { return part.failed_on != rank; });
    if (next == waiting_.end()) return false;
    worker->part = std::move(*next);
    waiting_.erase(next);
    WireWriter out;
    out.Pod(RolloutMessage::kRun);
    Write(worker->part->request, &out);
    world_->Send(out.Take(), rank, kRolloutRequestTag);
    worker->since = Clock::now();
    return true;
  }

  // Takes one reply, if one arrives soon.
  void Look() {
    Message message;
    if (world_->TryReceive(Communicator::kAnySource, kRolloutReplyTag, kLook, &message)) {
      WireReader in(std::move(message.bytes));
      const std::lock_guard lock(mutex_);
      Take(message.source, &in);
      answered_.notify_all();
    }
    for (const auto& [rank, worker] : workers_) {
      if (worker.busy() && Clock::now() - worker.since > options_.timeout) Fail(rank, worker);
    }
  }

  [[noreturn]] void Fail(int rank, const Worker& worker) const {
    WriteFlightRecord();
    throw MachineError("rollout ", RankName(rank), " has not answered for ",
                       static_cast<double>(options_.timeout.count()) / 1000, " s: ",
                       worker.part ? StrCat("part ", worker.part->request.part, " of step ",
                                            worker.part->request.step)
                                   : StrCat("the adapters of a new version"));
  }

  void Take(int rank, WireReader* in) {
    Worker& worker = workers_.at(rank);
    const auto kind = in->Pod<RolloutMessage>();
    const std::string error = in->Text();
    if (kind == RolloutMessage::kTaking) {
      sender_.Hear(rank, syncs_[worker.syncs - 1 - forgotten_].adapters, in);
      return;
    }
    if (kind == RolloutMessage::kSync) {
      if (!error.empty()) throw MachineError("rollout ", RankName(rank), " failed: ", error);
      TakeSync(rank, &worker, in);
      return;
    }
    Part part = std::move(*worker.part);
    worker.part.reset();
    if (!error.empty()) {
      TryElsewhere(rank, error, std::move(part));
      return;
    }
    RolloutReply reply = ReadRolloutReply(in);
    reply.retries = part.retries;
    if (options_.shards != nullptr) Keep(part.request, &reply);
    Step& step = steps_.at(part.request.step);
    step.replies[part.request.part] = std::move(reply);
    --step.missing;
  }

  void Keep(const RolloutRequest& request, RolloutReply* reply) const {
    reply->shard = options_.shards->PathOf(request);
    WriteFileAtomically(reply->shard, std::exchange(reply->bytes, {}));
  }

  void TakeSync(int rank, Worker* worker, WireReader* in) {
    const PolicyVersion& policy = syncs_[worker->syncs - 1 - forgotten_];
    CheckCanary(policy.canary, in->Vector<double>(), policy.dtype, rank, policy.version);
    sender_.End(rank);
    worker->syncing = false;
    if (worker->syncs == num_syncs()) --unconfirmed_;
    ForgetSyncs();
  }

  // Drops syncs that no worker needs: a worker holds the last `versions` that it confirmed, perhaps
  // in the very memory where they were packed.
  void ForgetSyncs() {
    size_t confirmed = num_syncs();
    for (const auto& [rank, worker] : workers_) {
      confirmed = std::min(confirmed, worker.syncs - (worker.syncing ? 1 : 0));
    }
    const auto held = static_cast<size_t>(options_.versions);
    for (; forgotten_ + held < confirmed; ++forgotten_) syncs_.pop_front();
  }

  void TryElsewhere(int rank, const std::string& error, Part part) {
    if (options_.ranks.size() == 1 || part.retries > 0) {
      throw MachineError("rollout ", RankName(rank), " failed: ", error);
    }
    LogWarning("part ", part.request.part, " of step ", part.request.step, " was not sampled by ",
               RankName(rank), " (", error, "); asking another rollout rank");
    ++part.retries;
    part.failed_on = rank;
    waiting_.push_front(std::move(part));
  }

  Communicator* world_;
  RemoteRolloutOptions options_;
  AdapterSender sender_;
  std::mutex mutex_;  // guards all members below
  std::condition_variable ordered_, answered_;
  std::deque<Part> waiting_;
  std::map<int64_t, Step> steps_;
  std::deque<PolicyVersion> syncs_;  // syncs that a worker has yet to confirm, or holds
  size_t forgotten_ = 0;             // syncs already dropped from syncs_
  size_t unconfirmed_ = 0;           // workers without the last version
  std::map<int, Worker> workers_;
  std::exception_ptr error_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<RolloutClient> MakeRemoteRolloutClient(Communicator* world,
                                                       RemoteRolloutOptions options) {
  return std::make_unique<RemoteRolloutClient>(world, std::move(options));
}

void StopServingRollouts(Communicator* world, const std::vector<int>& rollout_ranks) {
  WireWriter out;
  out.Pod(RolloutMessage::kStop);
  const std::string stop = out.Take();
  for (const int rank : rollout_ranks) world->Send(stop, rank, kRolloutRequestTag);
}

}  // namespace flame
