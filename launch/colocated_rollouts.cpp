#include "launch/colocated_rollouts.h"

#include <map>
#include <optional>
#include <utility>

#include "rollout/protocol.h"
#include "trainer/learner_group.h"

namespace flame {
namespace {

class ColocatedRolloutClient : public RolloutClient {
 public:
  ColocatedRolloutClient(RolloutWorker* worker, Communicator* learners,
                         std::function<int64_t(int32_t)> length)
      : worker_(worker), learners_(learners), length_(std::move(length)) {}

  void Begin(const RolloutRequest& request) override {
    std::vector<int64_t> lengths;
    for (const int32_t task : request.tasks) lengths.push_back(length_(task));
    const RolloutRequest own = DealRequest(request, lengths, learners_->size())[learners_->rank()];
    auto& reply = begun_[request.step];
    if (!own.tasks.empty()) reply = worker_->Run(own);
  }

  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    if (!begun_.contains(request.step)) Begin(request);
    const std::optional<RolloutReply> own = begun_.extract(request.step).mapped();
    WireWriter out;
    if (own) Write(*own, &out);
    std::vector<RolloutReply> replies;
    for (const std::string& text : GatherTexts(learners_, out.Take())) {
      if (text.empty()) continue;
      WireReader in(text);
      replies.push_back(ReadRolloutReply(&in));
    }
    return replies;
  }

  void Sync(const PolicyVersion& policy) override {
    const std::vector<double> there = worker_->Sync(policy.version, policy.adapters);
    CheckCanary(policy.canary, there, policy.dtype, worker_->rank(), policy.version);
  }

 private:
  RolloutWorker* worker_;
  Communicator* learners_;
  std::function<int64_t(int32_t)> length_;
  std::map<int64_t, std::optional<RolloutReply>> begun_;  // nothing: no task fell to this rank
};

}  // namespace

std::unique_ptr<RolloutClient> MakeColocatedRolloutClient(
    RolloutWorker* worker, Communicator* learners, std::function<int64_t(int32_t task)> length) {
  return std::make_unique<ColocatedRolloutClient>(worker, learners, std::move(length));
}

}  // namespace flame
