#include "reward/service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "comm/tags.h"
#include "tests/reward/reward_fixture.h"

namespace flame {
namespace {

using ::testing::HasSubstr;

constexpr Communicator::Milliseconds kDeadline = std::chrono::minutes(1);

class ServiceTest : public ::testing::Test {
 protected:
  // Rank 0 runs `client`; rank r > 0 serves rewards from corpora[r - 1].
  void Run(const std::vector<Corpus>& corpora,
           const std::function<void(Communicator* world, std::vector<int> ranks)>& client) {
    auto world = MakeLocalGroup(static_cast<int>(corpora.size()) + 1, std::chrono::seconds(20));
    std::vector<std::thread> servers;
    std::vector<int> ranks;
    for (size_t r = 1; r < world.size(); ++r) {
      ranks.push_back(static_cast<int>(r));
      servers.emplace_back([&, r] {
        const Scorer scorer(corpora[r - 1], pieces_.tokenizer(), pieces_.end_id(), {});
        ServeRewards(world[r].get(), scorer, kDeadline);
      });
    }
    client(world[0].get(), ranks);
    StopServingRewards(world[0].get(), ranks);
    for (std::thread& server : servers) server.join();
  }

  ScoreRequest Request(int64_t task_id, int32_t visit) {
    return {task_id,
            visit,
            Edit::kAdd,
            {2},
            {pieces_.Ids({"one", "\n", "<end>"}), pieces_.Ids({"foo", "\n"}), {}}};
  }

  PieceTokenizer pieces_{{"one", "foo", "\n"}};
  Corpus whole_ = DigitCorpus({{1}, {1, 2}, {3}});
  Corpus partial_ = DigitCorpus({{1}});
};

void ExpectEqual(const Verdict& a, const Verdict& b) {
  EXPECT_EQ(a.phi, b.phi);
  EXPECT_EQ(a.phi_jaccard, b.phi_jaccard);
  EXPECT_EQ(a.phi_ddi, b.phi_ddi);
  EXPECT_EQ(a.phi_refusal, b.phi_refusal);
  EXPECT_EQ(a.state, b.state);
  EXPECT_EQ(a.step_of_token, b.step_of_token);
  EXPECT_EQ(a.reward, b.reward);
  EXPECT_EQ(a.final_list, b.final_list);
  EXPECT_EQ(a.num_lines, b.num_lines);
  EXPECT_EQ(a.num_refused, b.num_refused);
}

TEST_F(ServiceTest, RemoteScores_EqualLocalOnesInOrder) {
  const std::vector<ScoreRequest> requests = {Request(7, 2), Request(8, 1), Request(9, 0),
                                              Request(10, 1), Request(11, 2)};
  const Scorer scorer(whole_, pieces_.tokenizer(), pieces_.end_id(), {});
  const auto expected = MakeLocalRewardClient(scorer)->Score(requests);
  Run({whole_, whole_}, [&](Communicator* world, std::vector<int> ranks) {
    auto client = MakeRemoteRewardClient(world, ranks, kDeadline);
    for (int round = 0; round < 3; ++round) {
      const auto verdicts = client->Score(requests);
      ASSERT_EQ(verdicts.size(), requests.size());
      for (size_t i = 0; i < verdicts.size(); ++i) {
        ASSERT_EQ(verdicts[i].size(), 3u);
        for (size_t m = 0; m < 3; ++m) ExpectEqual(verdicts[i][m], expected[i][m]);
      }
    }
    EXPECT_TRUE(client->Score({}).empty());
  });
}

TEST_F(ServiceTest, FailureOnOneRank_IsAnsweredByAnother) {
  Run({partial_, whole_}, [&](Communicator* world, std::vector<int> ranks) {
    auto client = MakeRemoteRewardClient(world, ranks, kDeadline);
    for (int round = 0; round < 3; ++round) {
      const auto verdicts = client->Score({Request(1, 1), Request(2, 2), Request(3, 1)});
      EXPECT_EQ(verdicts[0][0].reward, 0.5f);
      EXPECT_EQ(verdicts[1][0].reward, 0);
      EXPECT_EQ(verdicts[2][0].reward, 0.5f);
    }
  });
}

TEST_F(ServiceTest, FailureOnEveryRank_IsThrownNamingTheTask) {
  Run({whole_, whole_}, [&](Communicator* world, std::vector<int> ranks) {
    auto client = MakeRemoteRewardClient(world, ranks, kDeadline);
    try {
      client->Score({Request(1, 1), Request(77, 99)});
      ADD_FAILURE() << "expected a DataError";
    } catch (const Error& error) {
      EXPECT_EQ(error.status(), ExitStatus::kData);
      EXPECT_THAT(error.what(), HasSubstr("task 77"));
    }
    // The ranks still serve.
    EXPECT_EQ(client->Score({Request(1, 1)})[0][0].reward, 0.5f);
  });
}

TEST_F(ServiceTest, LocalFailure_NamesTheTask) {
  const Scorer scorer(whole_, pieces_.tokenizer(), pieces_.end_id(), {});
  try {
    MakeLocalRewardClient(scorer)->Score({Request(78, -1)});
    FAIL() << "expected a DataError";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), ExitStatus::kData);
    EXPECT_THAT(error.what(), HasSubstr("task 78"));
  }
}

// A rank that does not answer within the deadline is passed over, and its late answer must not be
// taken for the answer to a newer request.
TEST_F(ServiceTest, SilentRank_IsReplacedByAnother) {
  auto world = MakeLocalGroup(3, std::chrono::seconds(2));
  const Scorer scorer(whole_, pieces_.tokenizer(), pieces_.end_id(), {});
  std::thread prompt([&] { ServeRewards(world[2].get(), scorer, kDeadline); });
  auto client = MakeRemoteRewardClient(world[0].get(), {1, 2}, std::chrono::seconds(2));
  EXPECT_EQ(client->Score({Request(1, 1)})[0][0].reward, 0.5f);  // rank 1 is asked first
  std::thread late([&] { ServeRewards(world[1].get(), scorer, kDeadline); });
  const auto verdicts = client->Score({Request(2, 2), Request(3, 2)});
  EXPECT_EQ(verdicts[0][0].reward, 0);
  EXPECT_EQ(verdicts[1][0].reward, 0);
  StopServingRewards(world[0].get(), {1, 2});
  prompt.join();
  late.join();
}

TEST_F(ServiceTest, ManyRequests_AreAnsweredInOrder) {
  std::vector<ScoreRequest> requests;
  for (int32_t i = 0; i < 1000; ++i) requests.push_back(Request(i, i % 3));
  const Scorer scorer(whole_, pieces_.tokenizer(), pieces_.end_id(), {});
  const auto expected = MakeLocalRewardClient(scorer)->Score(requests);
  Run({whole_, whole_}, [&](Communicator* world, std::vector<int> ranks) {
    const auto verdicts = MakeRemoteRewardClient(world, ranks, kDeadline)->Score(requests);
    ASSERT_EQ(verdicts.size(), requests.size());
    for (size_t i = 0; i < verdicts.size(); ++i) ExpectEqual(verdicts[i][0], expected[i][0]);
  });
}

TEST_F(ServiceTest, BusyRank_IsSentTwoBatchesAtMost) {
  auto world = MakeLocalGroup(3, std::chrono::seconds(20));
  const Scorer scorer(whole_, pieces_.tokenizer(), pieces_.end_id(), {});
  std::thread prompt([&] { ServeRewards(world[2].get(), scorer, kDeadline); });
  const std::vector<ScoreRequest> requests(1000, Request(1, 1));
  auto client = MakeRemoteRewardClient(world[0].get(), {1, 2}, std::chrono::seconds(3));
  EXPECT_EQ(client->Score(requests).size(), requests.size());
  int waiting = 0;
  for (Message message;
       world[1]->TryReceive(0, kRewardRequestTag, std::chrono::milliseconds(10), &message);) {
    ++waiting;
  }
  EXPECT_EQ(waiting, 2);
  StopServingRewards(world[0].get(), {2});
  prompt.join();
}

TEST_F(ServiceTest, NoRewardRank_IsAUsageError) {
  auto world = MakeLocalGroup(1);
  EXPECT_THROW(MakeRemoteRewardClient(world[0].get(), {}, kDeadline), UsageError);
}

}  // namespace
}  // namespace flame
