#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "tests/rollout/rollout_fixture.h"

namespace flame {
namespace {

using ::testing::HasSubstr;

class SampleGroupsTest : public RolloutFixture {
 protected:
  void SetUp() override {
    RolloutFixture::SetUp();
    policy_ = std::make_unique<Policy>(MakePolicy());
    context_ = MakeContext(policy_.get());
  }

  // Returns log-probabilities of every completion, from the packed family forward.
  std::vector<float> FamilyLogProbs(const Group& group, double temperature) {
    Family family{group.prompt, {}};
    for (const Trajectory& member : group.members) family.branches.push_back({member.tokens, 0});
    c10::NoGradGuard no_grad;
    const FamilyBatch batch = PackFamilies({family});
    const at::Tensor hidden = policy_->Hidden(batch, {});
    const at::Tensor logprobs =
        policy_->LogProbs(hidden, batch.sources, batch.targets, temperature).to(at::kFloat);
    const float* data = logprobs.const_data_ptr<float>();
    return {data, data + logprobs.numel()};
  }

  std::unique_ptr<Policy> policy_;
  RolloutContext context_;
};

TEST_F(SampleGroupsTest, Groups_HaveTheTasksPromptsAndMembers) {
  const std::vector<Group> groups = SampleGroups(context_, AllTasks());
  ASSERT_EQ(groups.size(), 8u);
  for (int32_t i = 0; i < 8; ++i) {
    EXPECT_EQ(groups[i].task_id, 100 + i);
    EXPECT_EQ(groups[i].task, i);
    std::vector<int32_t> prompt = prompts_->ListTrunk(tasks_[i].visit);
    for (int32_t id : prompts_->ListQuestion(tasks_[i].input, tasks_[i].edit)) prompt.push_back(id);
    EXPECT_EQ(groups[i].prompt, prompt);
    ASSERT_EQ(groups[i].members.size(), 4u);
    for (const Trajectory& member : groups[i].members) {
      ASSERT_EQ(member.tokens.size(), member.logprobs.size());
      for (int32_t token : member.tokens) EXPECT_LT(token, vocab_size_) << "a slot was sampled";
    }
  }
}

TEST_F(SampleGroupsTest, Completions_EndWithEndOfTextOrAtMaxTokens) {
  context_.sampling.group_size = 32;
  context_.sampling.max_tokens = 40;
  int ended = 0, cut = 0;
  for (const Group& group : SampleGroups(context_, AllTasks())) {
    for (const Trajectory& member : group.members) {
      const int32_t end = prompts_->end_id();
      const auto first = std::find(member.tokens.begin(), member.tokens.end(), end);
      if (first == member.tokens.end()) {
        EXPECT_EQ(member.tokens.size(), 40u);
        ++cut;
      } else {
        EXPECT_EQ(first + 1, member.tokens.end()) << "text behind the end";
        ++ended;
      }
    }
  }
  EXPECT_GT(ended, 0);
  EXPECT_GT(cut, 0);
}

TEST_F(SampleGroupsTest, LogProbs_AreThoseOfTheFamilyForward) {
  for (double temperature : {1.0, 0.7}) {
    context_.sampling.temperature = temperature;
    for (const Group& group : SampleGroups(context_, AllTasks())) {
      const std::vector<float> expected = FamilyLogProbs(group, temperature);
      size_t n = 0;
      for (const Trajectory& member : group.members) {
        for (float logprob : member.logprobs) EXPECT_NEAR(logprob, expected[n++], 1e-4);
      }
      EXPECT_EQ(n, expected.size());
    }
  }
}

TEST_F(SampleGroupsTest, OtherBatches_SameText) {
  const std::vector<Group> together = SampleGroups(context_, AllTasks());
  std::vector<Group> apart;
  for (const std::vector<int32_t>& part : {std::vector<int32_t>{6, 1}, {0}, {7, 5, 4, 3, 2}}) {
    RolloutRequest request;
    for (int32_t i : part) {
      request.task_ids.push_back(100 + i);
      request.tasks.push_back(i);
    }
    for (Group& group : SampleGroups(context_, request)) apart.push_back(std::move(group));
  }
  ASSERT_EQ(apart.size(), together.size());
  for (const Group& group : apart) {
    const Group& same = together[group.task];
    for (size_t m = 0; m < group.members.size(); ++m) {
      EXPECT_EQ(group.members[m].tokens, same.members[m].tokens) << group.task_id << " " << m;
      EXPECT_THAT(group.members[m].logprobs,
                  ::testing::Pointwise(::testing::FloatNear(1e-5f), same.members[m].logprobs));
    }
  }
}

// A member's text depends on its index, not on how many other members there are.
TEST_F(SampleGroupsTest, LargerGroup_HasTheSameFirstMembers) {
  const std::vector<Group> four = SampleGroups(context_, AllTasks());
  context_.sampling.group_size = 7;
  const std::vector<Group> seven = SampleGroups(context_, AllTasks());
  for (size_t g = 0; g < four.size(); ++g) {
    for (size_t m = 0; m < 4; ++m) {
      EXPECT_EQ(four[g].members[m].tokens, seven[g].members[m].tokens);
    }
  }
}

TEST_F(SampleGroupsTest, SeedTaskAndMember_GiveOtherText) {
  std::set<std::vector<int32_t>> texts;
  RolloutRequest twice;
  twice.tasks = {0, 0};
  twice.task_ids = {1, 2};
  for (uint64_t seed : {1, 2}) {
    context_.seed = seed;
    for (const Group& group : SampleGroups(context_, twice)) {
      for (const Trajectory& member : group.members) texts.insert(member.tokens);
    }
  }
  EXPECT_EQ(texts.size(), 16u);
}

TEST_F(SampleGroupsTest, TemperatureZero_IsTheArgmaxOfTheFamilyForward) {
  context_.sampling.temperature = 0;
  std::vector<int64_t> all(vocab_size_);
  std::iota(all.begin(), all.end(), 0);
  c10::NoGradGuard no_grad;
  for (const Group& group : SampleGroups(context_, AllTasks())) {
    for (const Trajectory& member : group.members) {
      EXPECT_EQ(member.tokens, group.members[0].tokens);
    }
    const FamilyBatch batch = PackFamilies({{group.prompt, {{group.members[0].tokens, 0}}}});
    const at::Tensor best =
        at::argmax(policy_->LogitsOf(policy_->Hidden(batch, {}), batch.sources, all), 1);
    for (size_t t = 0; t < group.members[0].tokens.size(); ++t) {
      EXPECT_EQ(group.members[0].tokens[t], best.const_data_ptr<int64_t>()[t]) << t;
    }
    EXPECT_NEAR(group.members[0].logprobs[0], FamilyLogProbs(group, 1)[0], 1e-4);
  }
}

TEST_F(SampleGroupsTest, GreedyLast_OthersAreDrawnAsWithoutIt) {
  const std::vector<Group> drawn = SampleGroups(context_, AllTasks());
  SamplingOptions greedy = context_.sampling;
  greedy.temperature = 0;
  std::swap(context_.sampling, greedy);
  const std::vector<Group> likeliest = SampleGroups(context_, AllTasks());
  std::swap(context_.sampling, greedy);
  context_.sampling.group_size += 1;
  context_.sampling.greedy_last = true;
  const std::vector<Group> both = SampleGroups(context_, AllTasks());
  for (size_t i = 0; i < both.size(); ++i) {
    for (size_t m = 0; m < drawn[i].members.size(); ++m) {
      EXPECT_EQ(both[i].members[m].tokens, drawn[i].members[m].tokens) << i << " " << m;
    }
    EXPECT_EQ(both[i].members.back().tokens, likeliest[i].members[0].tokens) << i;
  }
}

// With more members than slots, members begin as others end.
TEST_F(SampleGroupsTest, MoreMembersThanSlots_SameTextAsApart) {
  context_.sampling.group_size = 75;
  const std::vector<Group> together = SampleGroups(context_, AllTasks());
  for (int32_t i : {7, 3}) {
    RolloutRequest request;
    request.task_ids = {100 + i};
    request.tasks = {i};
    const std::vector<Group> apart = SampleGroups(context_, request);
    for (size_t m = 0; m < 75; ++m) {
      EXPECT_EQ(apart[0].members[m].tokens, together[i].members[m].tokens) << i << " " << m;
    }
  }
}

TEST_F(SampleGroupsTest, TopK_LogProbsAreThoseOfTheWholePolicy) {
  context_.sampling.top_k = 3;
  context_.sampling.temperature = 0.9;
  std::vector<int64_t> all(vocab_size_);
  std::iota(all.begin(), all.end(), 0);
  c10::NoGradGuard no_grad;
  for (const Group& group : SampleGroups(context_, AllTasks())) {
    Family family{group.prompt, {}};
    for (const Trajectory& member : group.members) family.branches.push_back({member.tokens, 0});
    const FamilyBatch batch = PackFamilies({family});
    const at::Tensor logits = policy_->LogitsOf(policy_->Hidden(batch, {}), batch.sources, all);
    const std::vector<float> expected = FamilyLogProbs(group, 0.9);
    int64_t n = 0;
    for (const Trajectory& member : group.members) {
      for (size_t t = 0; t < member.tokens.size(); ++t, ++n) {
        const int64_t likelier = (logits[n] > logits[n][member.tokens[t]]).sum().item<int64_t>();
        EXPECT_LT(likelier, 3);
        EXPECT_NEAR(member.logprobs[t], expected[n], 1e-4);
      }
    }
  }
}

// Even an untrained policy writes names of drugs and nothing else. Probabilities are shared among
// the tokens with which some name continues; the test finds them by comparing with all names.
TEST_F(SampleGroupsTest, ConstrainedToDrugs_EveryLineNamesOne) {
  const LineTrie lines = DrugLines(*prompts_, corpus_.drugs.size());
  context_.lines = &lines;
  context_.sampling.max_tokens = 40;
  std::vector<std::vector<int32_t>> names;
  for (int32_t drug = 0; drug < corpus_.drugs.size(); ++drug) {
    names.push_back(prompts_->ListAnswer({drug}));
    names.back().pop_back();
  }
  std::vector<int64_t> all(vocab_size_);
  std::iota(all.begin(), all.end(), 0);
  c10::NoGradGuard no_grad;
  std::set<size_t> named;
  for (const Group& group : SampleGroups(context_, AllTasks())) {
    Family family{group.prompt, {}};
    for (const Trajectory& member : group.members) family.branches.push_back({member.tokens, 0});
    const FamilyBatch batch = PackFamilies({family});
    const at::Tensor logits =
        policy_->LogitsOf(policy_->Hidden(batch, {}), batch.sources, all).to(at::kDouble);
    const double* row = logits.const_data_ptr<double>();
    for (const Trajectory& member : group.members) {
      std::vector<int32_t> line;
      for (size_t t = 0; t < member.tokens.size(); ++t, row += vocab_size_) {
        std::set<int32_t> allowed;
        if (line.empty()) allowed.insert(prompts_->end_id());
        for (const auto& name : names) {
          if (line.size() < name.size() && std::equal(line.begin(), line.end(), name.begin())) {
            allowed.insert(name[line.size()]);
          }
        }
        ASSERT_TRUE(allowed.contains(member.tokens[t])) << t;
        double sum = 0;
        for (const int32_t token : allowed) sum += std::exp(row[token]);
        EXPECT_NEAR(member.logprobs[t], row[member.tokens[t]] - std::log(sum), 1e-4);
        line.push_back(member.tokens[t]);
        const auto name = std::find(names.begin(), names.end(), line);
        if (name == names.end()) continue;
        named.insert(name - names.begin());
        line.clear();
      }
    }
  }
  EXPECT_EQ(named.size(), 4u);
}

TEST_F(SampleGroupsTest, NoTasks_NoGroups) {
  EXPECT_TRUE(SampleGroups(context_, RolloutRequest{}).empty());
}

TEST_F(SampleGroupsTest, TaskOutOfRange_NamesIt) {
  RolloutRequest request;
  request.task_ids = {55};
  request.tasks = {8};
  try {
    SampleGroups(context_, request);
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("task 55"));
  }
  request.tasks = {1, 2};
  EXPECT_THROW(SampleGroups(context_, request), UsageError);
}

TEST_F(SampleGroupsTest, WeightsThatAreNotFinite_StopWithTheTask) {
  policy_->parameters().at("model.norm.weight").detach().fill_(NAN);
  try {
    SampleGroups(context_, AllTasks());
    FAIL() << "expected a MachineError";
  } catch (const MachineError& error) {
    EXPECT_THAT(error.what(), HasSubstr("task 100"));
  }
}

}  // namespace
}  // namespace flame
