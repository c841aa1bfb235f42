#include "rollout/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "comm/watchdog.h"
#include "rollout/adapter_transfer.h"
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

// Scores like `inner`, but fails at first.
class FailingRewards : public RewardClient {
 public:
  FailingRewards(RewardClient* inner, int failures) : inner_(inner), failures_(failures) {}
  std::vector<std::vector<Verdict>> Score(const std::vector<ScoreRequest>& requests) override {
    if (failures_-- > 0) throw MachineError("no scorer today");
    return inner_->Score(requests);
  }
  int64_t TakeRetries() override { return 0; }

 private:
  RewardClient* inner_;
  int failures_;
};

// Returns the groups of all replies, ordered by task id.
std::vector<Group> GroupsOf(const std::vector<RolloutReply>& replies) {
  std::vector<Group> groups;
  for (const RolloutReply& reply : replies) {
    for (Group& group : ReadShard(reply.shard)) groups.push_back(std::move(group));
  }
  std::sort(groups.begin(), groups.end(),
            [](const Group& a, const Group& b) { return a.task_id < b.task_id; });
  return groups;
}

class WorkerTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    policy_ = std::make_unique<Policy>(MakePolicy());
  }

  // Runs `coordinator` on rank 0 over workers on ranks 1 and 2; `spoil` may change a worker's
  // policy.
  void RunRemote(const std::function<void(RolloutClient*)>& coordinator,
                 const std::function<void(int rank, Policy*)>& spoil = {}) {
    auto world = MakeLocalGroup(3, std::chrono::seconds(60));
    std::vector<std::thread> workers;
    for (int rank : {1, 2}) {
      workers.emplace_back([&, rank] {
        Policy policy = MakePolicy();
        if (spoil) spoil(rank, &policy);
        FailingRewards rewards(rewards_.get(), failures_.contains(rank) ? failures_[rank] : 0);
        RolloutContext context = MakeContext(&policy, rank);
        if (carried_) context.folder.clear();
        RolloutWorker worker(context, &rewards, versions_);
        ServeRollouts(world[rank].get(), &worker, std::chrono::minutes(1));
      });
    }
    const RolloutContext context = MakeContext(policy_.get());
    const ShardFolder shards{context.folder, context.seed, context.config_sha256};
    auto client = MakeRemoteRolloutClient(world[0].get(), {{1, 2},
                                                           [](int32_t task) { return 10 + task; },
                                                           false,
                                                           timeout_,
                                                           carried_ ? &shards : nullptr,
                                                           versions_});
    try {
      coordinator(client.get());
    } catch (...) {
      client.reset();
      StopServingRollouts(world[0].get(), {1, 2});
      for (std::thread& worker : workers) worker.join();
      throw;
    }
    client.reset();
    StopServingRollouts(world[0].get(), {1, 2});
    for (std::thread& worker : workers) worker.join();
  }

  std::unique_ptr<Policy> policy_;
  std::chrono::milliseconds timeout_ = std::chrono::seconds(60);
  std::map<int, int> failures_;  // by rank: scorings that fail
  bool carried_ = false;         // true: shards travel in replies
  int64_t versions_ = 1;         // versions that a worker holds
};

TEST_F(WorkerTest, Run_WritesAShardOfScoredGroups) {
  RolloutWorker worker(MakeContext(policy_.get(), 3), rewards_.get());
  const auto client = MakeLocalRolloutClient(&worker);
  client->Sync(PolicyVersionOf(0, *policy_));
  const std::vector<RolloutReply> replies = client->Collect(AllTasks());
  ASSERT_EQ(replies.size(), 1u);
  EXPECT_EQ(replies[0].shard, folder_ / "rollouts" / "step-000005-part-000.h5");
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
  EXPECT_THAT(MachineFault([&] { worker.Run(AllTasks()); }), HasSubstr("no whole policy"));
  const auto client = MakeLocalRolloutClient(&worker);
  client->Sync(PolicyVersionOf(7, *policy_));  // any version may be the first
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
  const std::vector<Group> expected = GroupsOf(local->Collect(AllTasks()));
  std::filesystem::remove_all(folder_ / "rollouts");
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    const std::vector<RolloutReply> replies = client->Collect(AllTasks());
    EXPECT_GT(replies.size(), 2u);
    const std::vector<Group> groups = GroupsOf(replies);
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
    const std::vector<Group> groups = GroupsOf(client->Collect(AllTasks()));
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

TEST_F(WorkerTest, FailureOfEveryRank_IsNamedWithTheTask) {
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    RolloutRequest request = AllTasks();
    request.tasks.back() = 999;
    EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
                AllOf(HasSubstr("rollout rank "), HasSubstr("task 107")));
  });
}

TEST_F(WorkerTest, VersionThatNoWorkerHolds_IsRefused) {
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    RolloutRequest request = AllTasks();
    request.policy_version = 6;
    EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
                AllOf(HasSubstr("rollout rank "), HasSubstr("version 6")));
  });
}

TEST_F(WorkerTest, PartThatARankFailsAt_IsDoneByAnotherAndCounted) {
  failures_ = {{1, 1}};
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    int64_t retries = 0;
    std::set<int64_t> tasks;
    for (const RolloutReply& reply : client->Collect(AllTasks())) {
      retries += reply.retries;
      for (const Group& group : ReadShard(reply.shard)) tasks.insert(group.task_id);
    }
    EXPECT_EQ(retries, 1);
    EXPECT_EQ(tasks.size(), 8u);
  });
}

TEST_F(WorkerTest, RankThatDoesNotAnswer_IsNamed) {
  auto world = MakeLocalGroup(2, std::chrono::seconds(60));
  auto client = MakeRemoteRolloutClient(
      world[0].get(), {{1}, [](int32_t) { return 10; }, false, std::chrono::milliseconds(200)});
  EXPECT_THAT(MachineFault([&] { client->Sync(PolicyVersionOf(0, *policy_)); }),
              AllOf(HasSubstr("rollout rank 1 has not answered for 0.2 s")));
  EXPECT_THAT(MachineFault([&] { client->Collect(AllTasks()); }), HasSubstr("rollout rank 1"));
}

TEST_F(WorkerTest, RemoteStep_IsReadyOnceItsPartsAreThere) {
  auto world = MakeLocalGroup(2);
  const auto nobody = MakeRemoteRolloutClient(
      world[0].get(), {{1}, [](int32_t) { return 10; }, false, std::chrono::seconds(4)});
  EXPECT_FALSE(nobody->Ready(AllTasks()));
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    while (!client->Ready(AllTasks())) continue;
    EXPECT_GT(client->Collect(AllTasks()).size(), 1u);
  });
}

TEST_F(WorkerTest, OlderVersion_IsSampledWhileItIsHeld) {
  RolloutWorker worker(MakeContext(policy_.get(), 3), rewards_.get(), /*versions=*/2);
  RolloutRequest request = AllTasks();
  const std::vector<Group> expected = SampleGroups(MakeContext(policy_.get()), request);
  Policy changed = MakePolicy();
  for (const auto& [name, tensor] : AdaptersOf(changed)) Disturb(tensor, 0.3, 99);
  const auto client = MakeLocalRolloutClient(&worker);
  client->Sync(PolicyVersionOf(0, *policy_));
  client->Sync(PolicyVersionOf(1, changed));
  const std::vector<Group> older = ReadShard(client->Collect(request)[0].shard);
  for (size_t g = 0; g < older.size(); ++g) {
    EXPECT_EQ(older[g].members[0].tokens, expected[g].members[0].tokens);
    EXPECT_EQ(older[g].members[0].logprobs, expected[g].members[0].logprobs);
  }
  client->Sync(PolicyVersionOf(2, changed));
  request.step = 6;
  EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
              AllOf(HasSubstr("version 2 and 1 before it"), HasSubstr("version 0")));
}

TEST_F(WorkerTest, CarriedShards_AreWrittenByTheCoordinatorAndUsedAgain) {
  std::set<std::string> files, carried;
  const auto collect = [&](std::set<std::string>* contents, bool reused) {
    RunRemote([&](RolloutClient* client) {
      client->Sync(PolicyVersionOf(0, *policy_));
      for (const RolloutReply& reply : client->Collect(AllTasks())) {
        EXPECT_EQ(reply.reused, reused);
        EXPECT_TRUE(reply.bytes.empty());
        for (const Group& group : ReadShard(reply.shard)) {
          for (const Trajectory& member : group.members) {
            contents->insert(std::string(reinterpret_cast<const char*>(member.tokens.data()),
                                         member.tokens.size() * sizeof(int32_t)) +
                             std::to_string(group.task_id));
          }
        }
      }
    });
  };
  collect(&files, false);
  std::filesystem::remove_all(folder_ / "rollouts");
  carried_ = true;
  collect(&carried, false);
  EXPECT_EQ(files, carried);
  collect(&carried, true);
  EXPECT_EQ(files, carried);
}

TEST_F(WorkerTest, OlderVersion_IsSampledByRemoteWorkersToo) {
  RolloutRequest request = AllTasks();
  const std::vector<Group> expected = SampleGroups(MakeContext(policy_.get()), request);
  Policy changed = MakePolicy();
  for (const auto& [name, tensor] : AdaptersOf(changed)) Disturb(tensor, 0.3, 99);
  versions_ = 2;
  RunRemote([&](RolloutClient* client) {
    client->Sync(PolicyVersionOf(0, *policy_));
    client->Sync(PolicyVersionOf(1, changed));
    for (const RolloutReply& reply : client->Collect(request)) {
      for (const Group& group : ReadShard(reply.shard)) {
        const auto task =
            std::find(request.task_ids.begin(), request.task_ids.end(), group.task_id) -
            request.task_ids.begin();
        EXPECT_EQ(group.members[0].tokens, expected[task].members[0].tokens);
      }
    }
    client->Sync(PolicyVersionOf(2, changed));
    request.step = 6;
    EXPECT_THAT(MachineFault([&] { client->Collect(request); }),
                AllOf(HasSubstr("version 2 and 1 before it"), HasSubstr("version 0")));
  });
}

// Returns the tokens of each task's first member.
std::vector<std::vector<int32_t>> FirstTokens(const std::vector<Group>& groups) {
  std::vector<std::vector<int32_t>> tokens;
  for (const Group& group : groups) tokens.push_back(group.members[0].tokens);
  return tokens;
}

TEST_F(WorkerTest, EverySync_LeavesWhatWorkersHoldAsItIs_WhateverTheirHosts) {
  versions_ = 2;
  SyncBuffers buffers;
  for (const std::vector<std::string>& hosts :
       {std::vector<std::string>{}, {"a", "b", "b"}, {"a", "a", "b"}}) {
    SetHosts(hosts);
    std::filesystem::remove_all(folder_ / "rollouts");
    RunRemote([&](RolloutClient* client) {
      std::vector<std::vector<int32_t>> older;
      for (int64_t version = 0; version < 5; ++version) {
        Policy policy = MakePolicy();
        for (const auto& [name, tensor] : AdaptersOf(policy)) Disturb(tensor, 0.3, 90 + version);
        const NamedTensors adapters = AdaptersOf(policy);
        PackedAdapters packed = PlacesFor(adapters, buffers.Next(PackedSize(EntriesOf(adapters))));
        for (const auto& [name, place] : TensorsOf(packed)) place.copy_(adapters.at(name));
        Seal(version, &packed);
        client->Sync({version, std::move(packed), CanaryLogProbs(policy), at::kFloat});
        RolloutRequest request = AllTasks();
        const auto expected = FirstTokens(SampleGroups(MakeContext(&policy), request));
        request.policy_version = std::max<int64_t>(0, version - 1);
        request.step = version;
        const auto found = FirstTokens(GroupsOf(client->Collect(request)));
        EXPECT_EQ(found, version == 0 ? expected : older) << version;
        older = expected;
      }
    });
  }
  SetHosts({});
}

TEST_F(WorkerTest, WholeShardOfTheSameRequest_IsTakenAsItIs) {
  RolloutWorker worker(MakeContext(policy_.get(), 3), rewards_.get());
  worker.Sync(0, AdaptersOf(*policy_));
  const RolloutReply first = worker.Run(AllTasks());
  const auto written = std::filesystem::last_write_time(first.shard);
  const RolloutReply again = worker.Run(AllTasks());
  EXPECT_FALSE(first.reused);
  EXPECT_TRUE(again.reused);
  EXPECT_EQ(again.tokens_sampled, first.tokens_sampled);
  EXPECT_EQ(std::filesystem::last_write_time(first.shard), written);
  RolloutRequest other = AllTasks();
  std::swap(other.task_ids[0], other.task_ids[1]);
  EXPECT_FALSE(worker.Run(other).reused);
  std::filesystem::resize_file(first.shard, 100);
  EXPECT_FALSE(worker.Run(other).reused);
  EXPECT_EQ(ReadShard(first.shard).size(), 8u);
}

TEST(CutRequest, Parts_HoldEveryTaskOnceLongOnesFirst) {
  RolloutRequest request;
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 61; ++i) {
    request.task_ids.push_back(100 + i);
    request.tasks.push_back(static_cast<int32_t>(i));
    lengths.push_back(i * 37 % 61);
  }
  for (const int64_t ranks : {1, 2, 3, 8, 100}) {
    for (const bool dealt : {false, true}) {
      const auto parts =
          dealt ? DealRequest(request, lengths, ranks) : CutRequest(request, lengths, ranks);
      std::set<int64_t> seen;
      int64_t shortest = 1000;
      size_t largest = 1000;
      for (size_t p = 0; p < parts.size(); ++p) {
        EXPECT_EQ(parts[p].part, static_cast<int64_t>(p));
        for (size_t i = 0; i < parts[p].tasks.size(); ++i) {
          EXPECT_EQ(parts[p].task_ids[i], 100 + parts[p].tasks[i]);
          seen.insert(parts[p].task_ids[i]);
          if (dealt) continue;
          EXPECT_LE(lengths[parts[p].tasks[i]], shortest);
          shortest = lengths[parts[p].tasks[i]];
        }
        EXPECT_LE(parts[p].tasks.size(), largest + (dealt ? 1000 : 0));
        largest = parts[p].tasks.size();
      }
      EXPECT_EQ(seen.size(), 61u) << ranks;
      EXPECT_EQ(parts.size() == 1, ranks == 1);
    }
  }
}

TEST_F(WorkerTest, NoRolloutRank_IsAUsageError) {
  auto world = MakeLocalGroup(1);
  EXPECT_THROW(MakeRemoteRolloutClient(world[0].get(), {}), UsageError);
}

}  // namespace
}  // namespace flame
