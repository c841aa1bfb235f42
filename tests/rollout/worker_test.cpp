#include "rollout/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "tests/rollout/rollout_fixture.h"

namespace flame {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

template <class F>
std::string MachineFault(F f) {
  try {
    f();
  } catch (const MachineError& error) {
    return error.what();
  }
  return "no MachineError";
}

class WorkerTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    policy_ = std::make_unique<Policy>(MakePolicy());
  }

  // Rank 0 runs `coordinator` over workers on ranks 1 and 2; `spoil` may change a worker's policy.
  void RunRemote(const std::function<void(RolloutClient*)>& coordinator,
                 const std::function<void(int rank, Policy*)>& spoil = {}) {
    auto world = MakeLocalGroup(3, std::chrono::seconds(60));
    std::vector<std::thread> workers;
    for (int rank : {1, 2}) {
      workers.emplace_back([&, rank] {
        Policy policy = MakePolicy();
        if (spoil) spoil(rank, &policy);
        RolloutWorker worker(MakeContext(&policy, rank), rewards_.get());
        ServeRollouts(world[rank].get(), &worker, std::chrono::minutes(1));
      });
    }
    const auto client = MakeRemoteRolloutClient(world[0].get(), {1, 2});
    coordinator(client.get());
    StopServingRollouts(world[0].get(), {1, 2});
    for (std::thread& worker : workers) worker.join();
  }

  std::unique_ptr<Policy> policy_;
};

TEST_F(WorkerTest, Run_WritesAShardOfScoredGroups) {
  RolloutWorker worker(MakeContext(policy_.get(), 3), rewards_.get());
  const auto client = MakeLocalRolloutClient(&worker);
  client->Sync(PolicyVersionOf(0, *policy_));
  const std::vector<RolloutReply> replies = client->Collect(AllTasks());
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].shard, folder_ / "rollouts" / "step-000005-rank-3.h5");
  ShardInfo info;
  const std::vector<Group> groups = ReadShard(replies[0].shard, &info);
  EXPECT_EQ(info.seed, 21);
  EXPECT_EQ(info.step, 5);
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.config_sha256, "digest");
  int64_t tokens = 0;
  ASSERT_EQ(groups.size(), 8u);
  for (const Group& group : groups) {
    const ListTask& task = tasks_[group.task];
    ScoreRequest request{group.task_id, task.visit, task.edit, task.input, {}};
    for (const Trajectory& member : group.members) request.completions.push_back(member.tokens);
    const std::vector<Verdict> verdicts = scorer_->Score(request);
    for (size_t m = 0; m < group.members.size(); ++m) {
      EXPECT_EQ(group.members[m].verdict.phi, verdicts[m].phi);
      EXPECT_EQ(group.members[m].verdict.step_of_token, verdicts[m].step_of_token);
      EXPECT_EQ(group.members[m].verdict.final_list, verdicts[m].final_list);
      tokens += static_cast<int64_t>(group.members[m].tokens.size());
    }
  }
  EXPECT_EQ(replies[0].tokens_sampled, tokens);
  EXPECT_GT(replies[0].seconds_rollout, 0);
  EXPECT_GT(replies[0].seconds_reward, 0);
}

TEST_F(WorkerTest, StaleVersion_IsRefused) {
  RolloutWorker worker(MakeContext(policy_.get(), 3), rewards_.get());
  EXPECT_THAT(MachineFault([&] { worker.Run(AllTasks()); }), HasSubstr("version -1"));
  const auto client = MakeLocalRolloutClient(&worker);
  client->Sync(PolicyVersionOf(7, *policy_));  // any at the start
  EXPECT_THAT(MachineFault([&] { client->Collect(AllTasks()); }),
              AllOf(HasSubstr("rank 3"), HasSubstr("version 7"), HasSubstr("version 0")));
  EXPECT_THAT(MachineFault([&] { client->Sync(PolicyVersionOf(7, *policy_)); }),
              HasSubstr("expects 8"));
  EXPECT_THAT(MachineFault([&] { client->Sync(PolicyVersionOf(9, *policy_)); }),
              HasSubstr("expects 8"));
  client->Sync(PolicyVersionOf(8, *policy_));
}

TEST_F(WorkerTest, RemoteCollect_SamplesWhatOneRankWould) {
  RolloutWorker worker(MakeContext(policy_.get()), rewards_.get());
  const auto local = MakeLocalRolloutClient(&worker);
  local->Sync(PolicyVersionOf(0, *policy_));
  const std::vector<Group> expected = ReadShard(local->Collect(AllTasks())[0].shard);
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    const std::vector<RolloutReply> replies = client->Collect(AllTasks());
    ASSERT_EQ(replies.size(), 2u);
    std::vector<Group> groups;
    for (const RolloutReply& reply : replies) {
      for (Group& group : ReadShard(reply.shard)) groups.push_back(std::move(group));
    }
    ASSERT_EQ(groups.size(), 8u);
    for (size_t g = 0; g < 8; ++g) {
      EXPECT_EQ(groups[g].task_id, expected[g].task_id);
      for (size_t m = 0; m < groups[g].members.size(); ++m) {
        EXPECT_EQ(groups[g].members[m].tokens, expected[g].members[m].tokens);
        EXPECT_EQ(groups[g].members[m].verdict.phi, expected[g].members[m].verdict.phi);
      }
    }
  });
}

TEST_F(WorkerTest, FewerTasksThanRanks_LeavesRanksOut) {
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    RolloutRequest one;
    one.task_ids = {100};
    one.tasks = {0};
    EXPECT_EQ(client->Collect(one).size(), 1u);
  });
}

TEST_F(WorkerTest, RemoteSync_CarriesTheAdapters) {
  Policy changed = MakePolicy();
  for (const auto& [name, tensor] : AdaptersOf(changed)) Disturb(tensor, 0.3, 99);
  RolloutContext context = MakeContext(&changed);
  const std::vector<Group> expected = SampleGroups(context, AllTasks());
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, changed));
    std::vector<Group> groups;
    for (const RolloutReply& reply : client->Collect(AllTasks())) {
      for (Group& group : ReadShard(reply.shard)) groups.push_back(std::move(group));
    }
    for (size_t g = 0; g < 8; ++g) {
      for (size_t m = 0; m < groups[g].members.size(); ++m) {
        EXPECT_EQ(groups[g].members[m].tokens, expected[g].members[m].tokens);
      }
    }
  });
}

TEST_F(WorkerTest, WorkerWithOtherWeights_IsFoundByTheCanary) {
  RunRemote(
      [&](RolloutClient* client) {
        EXPECT_THAT(MachineFault([&] { client->Sync(PolicyVersionOf(4, *policy_)); }),
                    AllOf(HasSubstr("rank 2"), HasSubstr("version 4"), HasSubstr("difference")));
      },
      [](int rank, Policy* policy) {
        if (rank != 2) return;
        Disturb(policy->parameters().at("model.layers.1.mlp.up_proj.weight"), 0.01, 1);
      });
}

TEST_F(WorkerTest, FailedWorker_IsNamedAndGoesOnServing) {
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    RolloutRequest request = AllTasks();
    request.tasks.back() = 999;
    EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
                AllOf(HasSubstr("rank 2"), HasSubstr("task 107")));
    EXPECT_EQ(client->Collect(AllTasks()).size(), 2u);
    request.policy_version = 6;
    EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
                AllOf(HasSubstr("rank 1"), HasSubstr("rank 2"), HasSubstr("version 6")));
  });
}

TEST_F(WorkerTest, NoRolloutRank_IsAUsageError) {
  auto world = MakeLocalGroup(1);
  EXPECT_THROW(MakeRemoteRolloutClient(world[0].get(), {}), UsageError);
}

}  // namespace
}  // namespace flame
