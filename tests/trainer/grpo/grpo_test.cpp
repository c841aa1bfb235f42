#include "trainer/grpo/grpo.h"

#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "rollout/trajectory.h"
#include "tests/fake_device/fake_device.h"
#include "tests/trainer/toy.h"

namespace flame {
namespace {

constexpr int32_t kGood = 3, kBad = 4, kEnd = 0;

std::vector<int32_t> PromptOf(int32_t task) { return {1, 5 + task % 8}; }

Family Question(int32_t task) { return {PromptOf(task), {{{kGood, kEnd}, 0}, {{kBad, kEnd}, 0}}}; }

// Returns the log-probabilities of the tokens {good, end, bad, end} after a task's prompt.
std::vector<float> LogProbsOf(const Policy& policy, int32_t task) {
  const c10::NoGradGuard no_grad;
  const FamilyBatch batch = PackFamilies({Question(task)});
  const at::Tensor logprobs =
      policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets).to(at::kFloat);
  const at::Tensor dense = logprobs.cpu().contiguous();
  return {dense.const_data_ptr<float>(), dense.const_data_ptr<float>() + dense.numel()};
}

Trajectory MakeMember(std::vector<int32_t> tokens, const float* logprobs, float reward) {
  Trajectory member;
  member.logprobs.assign(logprobs, logprobs + tokens.size());
  member.tokens = std::move(tokens);
  member.verdict.phi = member.verdict.phi_jaccard = {0, reward};
  member.verdict.phi_ddi = member.verdict.phi_refusal = {0, 0};
  member.verdict.state = {0, 1};
  member.verdict.step_of_token = {1, -1};
  member.verdict.reward = reward;
  return member;
}

// Rolls out one good and one bad completion of each task, with the log-probabilities of the synced
// policy.
class FakeRollouts : public RolloutClient {
 public:
  static constexpr std::chrono::milliseconds kSlow{8000};
  explicit FakeRollouts(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool Ready(const RolloutRequest& request) override {
    if (request.step != slow_at) return true;
    if (!there_at_) there_at_ = std::chrono::steady_clock::now() + kSlow;
    std::this_thread::sleep_for(kSlow / 10);
    return std::chrono::steady_clock::now() >= *there_at_;
  }

  std::vector<RolloutReply> Collect(const RolloutRequest& request) override {
    while (!Ready(request)) continue;
    if (request.step == fail_at) throw std::runtime_error("power cut");
    EXPECT_EQ(request.policy_version, version_);
    requests.push_back(request);
    std::vector<RolloutReply> replies;
    for (size_t i = 0; i < request.tasks.size(); i += 2) replies.push_back(Shard(request, i));
    return replies;
  }

  void Sync(const PolicyVersion& next) override {
    EXPECT_TRUE(version_ == -1 || next.version == version_ + 1);
    version_ = next.version;
  }

  int64_t version() const { return version_; }

  std::vector<RolloutRequest> requests;
  const Policy* policy = nullptr;  // the policy that samples
  int64_t fail_at = -1;            // the step whose rollouts fail
  int64_t slow_at = -1;            // the step whose rollouts take kSlow
  int64_t version_shift = 0;       // added to the true policy version in shards
  bool certain = false;            // true: all log-probabilities are 0

 private:
  // Writes one shard of up to two groups.
  RolloutReply Shard(const RolloutRequest& request, size_t first) {
    std::vector<Group> groups;
    for (size_t i = first; i < std::min(first + 2, request.tasks.size()); ++i) {
      std::vector<float> logprobs = LogProbsOf(*policy, request.tasks[i]);
      if (certain) logprobs.assign(logprobs.size(), 0);
      Group group;
      group.task_id = request.task_ids[i];
      group.task = request.tasks[i];
      group.policy_version = version_ + version_shift;
      group.prompt = PromptOf(request.tasks[i]);
      group.members = {MakeMember({kGood, kEnd}, &logprobs[0], 1),
                       MakeMember({kBad, kEnd}, &logprobs[2], 0)};
      groups.push_back(group);
    }
    RolloutReply reply;
    reply.shard =
        folder_ / ("step-" + std::to_string(request.step) + "-" + std::to_string(first) + ".h5");
    reply.tokens_sampled = 4 * static_cast<int64_t>(groups.size());
    reply.rank = static_cast<int>(first);
    reply.seconds_rollout = 0.5;
    reply.seconds_reward = 0.25;
    WriteShard(groups, {0, request.step, static_cast<int64_t>(first), "digest"}, reply.shard);
    return reply;
  }

  std::filesystem::path folder_;
  int64_t version_ = -1;
  std::optional<std::chrono::steady_clock::time_point> there_at_;  // when step slow_at is ready
};

GrpoJob ToyJob(Policy* policy, const std::filesystem::path& folder, FakeRollouts* rollouts) {
  if (rollouts != nullptr) rollouts->policy = policy;
  GrpoJob job;
  job.policy = policy;
  job.num_tasks = 6;
  job.options.optimizer.learning_rate = 1e-2;
  job.options.optimizer.schedule = "constant";
  job.options.optimizer.warmup = 0;
  job.options.sampling.group_size = 2;
  job.options.sampling.max_tokens = 4;
  job.options.steps = 7;
  job.options.tasks = 4;
  job.options.checkpoint_every = 3;
  job.seed = 3;
  job.folder = folder;
  job.config_sha256 = "digest";
  job.rollouts = rollouts;
  return job;
}

GrpoReport RunToy(Policy* policy, const std::filesystem::path& folder) {
  FakeRollouts rollouts(folder);
  return RunGrpo(ToyJob(policy, folder, &rollouts));
}

TEST(RunGrpo, RewardedCompletion_BecomesMoreProbable) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  GrpoJob job = ToyJob(&policy, folder, &rollouts);
  job.options.steps = 20;
  job.options.checkpoint_every = 1000;
  const std::vector<float> before = LogProbsOf(policy, 2);
  const GrpoReport report = RunGrpo(job);
  const std::vector<float> after = LogProbsOf(policy, 2);
  EXPECT_GT(after[0], before[0] + 0.5);
  EXPECT_GT(after[0] - after[2], before[0] - before[2] + 0.2);
  EXPECT_EQ(report.steps, 20);
  EXPECT_EQ(report.first_reward, 0.5);
  EXPECT_EQ(rollouts.version(), 20);
}

// The rewards are {1, 0} with spread sqrt(0.5), so r~ = +-0.5 / (sqrt(0.5) + 1e-4). The first token
// of the good completion gains lambda * 1. On-policy the ratio is 1, so the loss is -sum of weight
// * advantage, with weight 1 / (2 tokens * 8 completions): -(4 groups * 0.5) / 16.
TEST(RunGrpo, FirstStep_MatchesHandComputedFigures) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  RunToy(&policy, folder);
  const auto rows = MetricsRows(folder);
  ASSERT_EQ(rows.size(), 7u);
  const auto& row = rows[0];
  EXPECT_EQ(row.at("step"), 1);
  EXPECT_EQ(row.at("policy_version"), 0);
  EXPECT_NEAR(row.at("loss"), -0.125, 1e-5);
  EXPECT_NEAR(row.at("reward_mean"), 0.5, 1e-6);
  EXPECT_NEAR(row.at("reward_std"), std::sqrt(0.5), 1e-6);
  EXPECT_NEAR(row.at("phi_jaccard"), 0.5, 1e-6);
  const double r = 0.5 / (std::sqrt(0.5) + 1e-4);
  const double squares = (r + 0.5) * (r + 0.5) + 3 * r * r;
  EXPECT_NEAR(row.at("advantage_std"), std::sqrt(squares / 4 - 0.125 * 0.125), 1e-5);
  EXPECT_NEAR(row.at("kl"), 0, 1e-6);
  EXPECT_EQ(row.at("clip_fraction"), 0);
  EXPECT_LT(row.at("sample_mismatch_max"), 1e-4);  // log-probabilities are about -100
  EXPECT_EQ(row.at("tokens_trained"), 16);
  EXPECT_EQ(row.at("tokens_sampled"), 16);
  EXPECT_EQ(row.at("seconds_rollout"), 0.5);
  EXPECT_GT(rows[6].at("kl"), 1e-4);
}

TEST(RunGrpo, EveryStep_AsksForTasksInShuffledEpochs) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  RunGrpo(ToyJob(&policy, folder, &rollouts));
  std::vector<int32_t> tasks;
  for (const RolloutRequest& request : rollouts.requests) {
    for (size_t i = 0; i < request.tasks.size(); ++i) {
      EXPECT_EQ(request.task_ids[i], request.step * 4 + static_cast<int64_t>(i));
      tasks.push_back(request.tasks[i]);
    }
  }
  for (size_t epoch = 0; epoch < 4; ++epoch) {
    EXPECT_EQ(std::set<int32_t>(tasks.begin() + epoch * 6, tasks.begin() + (epoch + 1) * 6).size(),
              6u);
  }
}

TEST(RunGrpo, KilledAndResumed_EqualsUninterruptedBitForBit) {
  Policy whole = ToyPolicyWithAdapters(at::kFloat, 0);
  const GrpoReport expected = RunToy(&whole, FreshFolder("whole"));

  const auto folder = FreshFolder("killed");
  Policy killed = ToyPolicyWithAdapters(at::kFloat, 0);
  FakeRollouts failing(folder);
  failing.fail_at = 5;  // the last checkpoint is that of step 3
  EXPECT_THROW(RunGrpo(ToyJob(&killed, folder, &failing)), std::runtime_error);

  Policy resumed = ToyPolicyWithAdapters(at::kFloat, 0);
  FakeRollouts rollouts(folder);
  const GrpoReport report = RunGrpo(ToyJob(&resumed, folder, &rollouts));
  EXPECT_EQ(rollouts.requests[0].step, 3);
  EXPECT_EQ(MaxDifference(whole, resumed), 0);
  EXPECT_EQ(report.last_reward, expected.last_reward);
  EXPECT_EQ(MetricsRows(folder).size(), 7u);
}

// Runs two learners with the deadline on the rollouts of the first. Returns the error of each, ""
// for none.
std::vector<std::string> RunPair(std::vector<Policy>* policies, const std::filesystem::path& folder,
                                 FakeRollouts* rollouts, Communicator::Milliseconds deadline) {
  std::vector<std::string> errors(2);
  auto group = MakeLocalGroup(2, deadline);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      GrpoJob job = ToyJob(&policies->at(rank), folder, rank == 0 ? rollouts : nullptr);
      job.learners = group[rank].get();
      try {
        RunGrpo(job);
      } catch (const Error& error) {
        errors[rank] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

std::vector<Policy> ToyPair() {
  std::vector<Policy> policies;
  for (int rank = 0; rank < 2; ++rank) policies.push_back(ToyPolicyWithAdapters(at::kDouble, 0));
  return policies;
}

TEST(RunGrpo, RolloutsSlowerThanTheDeadlineOfLearners_AreWaitedFor) {
  const auto folder = FreshFolder();
  std::vector<Policy> policies = ToyPair();
  FakeRollouts rollouts(folder);
  rollouts.slow_at = 2;
  const auto errors =
      RunPair(&policies, folder, &rollouts, FakeRollouts::kSlow - std::chrono::seconds(2));
  EXPECT_THAT(errors, testing::Each(""));
  EXPECT_EQ(MetricsRows(folder).size(), 7u);
}

TEST(RunGrpo, TwoLearners_EqualOne) {
  Policy alone = ToyPolicyWithAdapters(at::kDouble, 0);
  RunToy(&alone, FreshFolder("alone"));
  const auto folder = FreshFolder("pair");
  std::vector<Policy> policies = ToyPair();
  FakeRollouts rollouts(folder);
  EXPECT_THAT(RunPair(&policies, folder, &rollouts, std::chrono::minutes(1)), testing::Each(""));
  // Shards hold float32 log-probabilities of two policies that differ by about 1e-16.
  EXPECT_LT(MaxDifference(alone, policies[0]), 1e-8);
  EXPECT_EQ(MaxDifference(policies[0], policies[1]), 0);
  const auto rows = MetricsRows(folder), expected = MetricsRows(folder.parent_path() / "alone");
  ASSERT_EQ(rows.size(), 7u);
  for (const char* key : {"loss", "kl", "entropy", "clip_fraction", "grad_norm"}) {
    EXPECT_NEAR(rows[6].at(key), expected[6].at(key), 1e-7) << key;
  }
}

Policy ToyPolicyOnADevice() {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  policy.MoveTo(FakeDevice());
  return policy;
}

// Trains, stops and resumes on a device whose memory the host cannot read.
TEST(RunGrpo, OnADevice_TrainsAndResumesAsOnTheCpu) {
  Policy expected = ToyPolicyWithAdapters(at::kFloat, 0), whole = ToyPolicyOnADevice();
  RunToy(&expected, FreshFolder("cpu"));
  RunToy(&whole, FreshFolder("whole"));
  EXPECT_LT(MaxDifference(whole, expected), 1e-4);
  EXPECT_GT(MaxDifference(whole, ToyPolicyWithAdapters(at::kFloat, 0)), 1e-2);
  for (const auto& [name, tensor] : whole.parameters()) {
    EXPECT_EQ(tensor.device(), FakeDevice()) << name;
  }
  const auto folder = FreshFolder("killed");
  Policy killed = ToyPolicyOnADevice(), resumed = ToyPolicyOnADevice();
  FakeRollouts failing(folder), rollouts(folder);
  failing.fail_at = 5;
  EXPECT_THROW(RunGrpo(ToyJob(&killed, folder, &failing)), std::runtime_error);
  RunGrpo(ToyJob(&resumed, folder, &rollouts));
  EXPECT_EQ(MaxDifference(whole, resumed), 0);
}

// Every completion consists of the allowed lines, so the learner normalises over the tokens that
// these allow.
TEST(RunGrpo, ConstrainedOnADevice_IsTheCpus) {
  const LineTrie lines({{kGood}, {kBad}}, kEnd);
  Policy cpu = ToyPolicyWithAdapters(at::kFloat, 0), device = ToyPolicyOnADevice();
  for (Policy* policy : {&cpu, &device}) {
    const auto folder = FreshFolder(policy == &cpu ? "cpu" : "device");
    FakeRollouts rollouts(folder);
    rollouts.certain = true;
    GrpoJob job = ToyJob(policy, folder, &rollouts);
    job.lines = &lines;
    job.options.steps = 2;
    RunGrpo(job);
  }
  EXPECT_LT(MaxDifference(device, cpu), 1e-4);
}

TEST(RunGrpo, TokenBudget_DoesNotChangeTheResult) {
  Policy whole = ToyPolicyWithAdapters(at::kDouble, 0), cut = ToyPolicyWithAdapters(at::kDouble, 0);
  RunToy(&whole, FreshFolder("whole"));
  const auto folder = FreshFolder("cut");
  FakeRollouts rollouts(folder);
  GrpoJob job = ToyJob(&cut, folder, &rollouts);
  job.options.token_budget = 4;  // one branch at a time
  job.recompute = true;
  RunGrpo(job);
  EXPECT_LT(MaxDifference(whole, cut), 1e-8);
}

TEST(RunGrpo, MoreIterations_ClipTheRatio) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  GrpoJob job = ToyJob(&policy, folder, &rollouts);
  job.options.iterations = 4;
  job.options.steps = 4;
  job.options.optimizer.learning_rate = 3e-2;
  RunGrpo(job);
  const auto rows = MetricsRows(folder);
  EXPECT_GT(rows.back().at("clip_fraction"), 0);
  // The mismatch is taken in the first pass, before any of the step's updates.
  EXPECT_LT(rows.back().at("sample_mismatch_max"), 1e-4);  // log-probabilities are about -100
}

TEST(RunGrpo, NoKl_LeavesReferenceOut) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  GrpoJob job = ToyJob(&policy, folder, &rollouts);
  job.options.kl = 0;
  RunGrpo(job);
  EXPECT_EQ(MetricsRows(folder)[6].at("kl"), 0);
}

TEST(RunGrpo, ShardOfAnotherVersion_IsRefusedByName) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  rollouts.version_shift = 1;
  try {
    RunGrpo(ToyJob(&policy, folder, &rollouts));
    FAIL() << "expected a DataError";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("step-0-0.h5"));
    EXPECT_THAT(error.what(), testing::HasSubstr("policy version 0"));
  }
}

TEST(RunGrpo, WrongJob_IsRefused) {
  Policy policy = ToyPolicyWithAdapters(at::kFloat, 0), plain = ToyPolicy(at::kFloat);
  const auto folder = FreshFolder();
  FakeRollouts rollouts(folder);
  GrpoJob job = ToyJob(&policy, folder, &rollouts);
  job.num_tasks = 0;
  EXPECT_THROW(RunGrpo(job), DataError);
  job = ToyJob(&policy, folder, &rollouts);
  job.options.sampling.temperature = 0;
  EXPECT_THROW(RunGrpo(job), UsageError);
  EXPECT_THROW(RunGrpo(ToyJob(&plain, folder, &rollouts)), UsageError);
}

}  // namespace
}  // namespace flame
