#include "trainer/sft/validation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "base/error.h"
#include "base/random.h"
#include "comm/local_communicator.h"
#include "tests/trainer/toy.h"
#include "trainer/sft/sft.h"

namespace flame {
namespace {

Family RandomFamily(int64_t example) {
  RandomStream random(3, static_cast<uint32_t>(example));
  Family family;
  const auto draw = [&random] { return static_cast<int32_t>(1 + random.Below(15)); };
  for (int64_t i = 0; i < 2 + example % 5; ++i) family.trunk.push_back(draw());
  for (int64_t b = 0; b <= example % 3; ++b) family.branches.push_back({{draw(), draw()}, 1});
  return family;
}

std::vector<Family> RandomFamilies(int64_t begin, int64_t end) {
  std::vector<Family> families;
  for (int64_t example = begin; example < end; ++example) families.push_back(RandomFamily(example));
  return families;
}

// The expected loss follows from the definition of log-softmax, one branch at a time.
TEST(ValidationSet, Loss_IsMeanOverAskedForTokensWhateverTheCuts) {
  const Policy policy = ToyPolicy(at::kDouble);
  const std::vector<Family> families = RandomFamilies(0, 20);
  double sum = 0, count = 0;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) {
      const FamilyBatch batch = PackFamilies({{family.trunk, {branch}}});
      const at::Tensor hidden = policy.Hidden(batch, ForwardOptions());
      std::vector<int64_t> all(16);
      for (int64_t i = 0; i < 16; ++i) all[i] = i;
      const at::Tensor logits = policy.LogitsOf(hidden, batch.sources, all).contiguous();
      const double* row = logits.const_data_ptr<double>();
      double mass = 0;
      for (int i = 0; i < 16; ++i) mass += std::exp(row[i]);
      sum += std::log(mass) - row[branch.tokens[1]];
      count += 1;
    }
  }
  for (const int64_t budget : {1, 20, 1000}) {
    EXPECT_NEAR(ValidationSet(families, budget).Loss(policy, nullptr), sum / count, 1e-12);
  }
}

TEST(ValidationSet, AnyNumberOfLearners_SameBits) {
  const Policy policy = ToyPolicy(at::kFloat);
  const ValidationSet examples(RandomFamilies(0, 20), 30);
  const double alone = examples.Loss(policy, nullptr);
  for (const int size : {2, 3}) {
    auto group = MakeLocalGroup(size);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back(
          [&, rank] { EXPECT_EQ(examples.Loss(policy, group[rank].get()), alone); });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

TEST(ValidationSet, NothingAskedFor_IsRefused) {
  EXPECT_THROW(ValidationSet({}, 100), DataError);
  EXPECT_THROW(ValidationSet({{{1}, {{{2}, 1}}}}, 100), DataError);
}

// Returns a job that memorises ten random examples, so that the validation loss soon rises.
SftJob OverfittingJob(Policy* policy, const std::filesystem::path& folder) {
  SftJob job;
  job.label = "overfit";
  job.policy = policy;
  job.trainable = "full";
  job.num_examples = 10;
  job.example = [](int64_t example, int64_t) { return SftExample{RandomFamily(example), {}}; };
  job.options.batch = 5;
  job.options.epochs = 40;
  job.options.optimizer.learning_rate = 1e-2;
  job.options.optimizer.schedule = "constant";
  job.options.checkpoint_every = 3;
  job.options.validate_every = 4;
  job.options.patience = 3;
  job.validation = [] { return RandomFamilies(100, 120); };
  job.seed = 11;
  job.folder = folder;
  job.config_sha256 = "digest";
  return job;
}

nlohmann::json ValidationOf(const std::filesystem::path& folder) {
  std::ifstream file(folder / "validation.json");
  return nlohmann::json::parse(file);
}

TEST(RunSft, Overfitting_StopsEarlyAndLeavesTheBestWeights) {
  Policy policy = ToyPolicy(at::kDouble);
  const auto folder = FreshFolder();
  const SftJob job = OverfittingJob(&policy, folder);
  const SftReport report = RunSft(job);
  EXPECT_LT(report.steps, 80);
  EXPECT_EQ(report.steps, report.best_step + 3 * 4);
  const auto rows = MetricsRows(folder);
  ASSERT_EQ(static_cast<int64_t>(rows.size()), report.steps);
  EXPECT_EQ(rows.back().at("validation_best_step"), report.best_step);
  EXPECT_FALSE(rows[4].contains("validation_loss"));
  const auto record = ValidationOf(folder);
  EXPECT_EQ(record.at("best_step"), report.best_step);
  EXPECT_EQ(record.at("stopped_early"), true);
  EXPECT_EQ(record.at("evaluations").size(), static_cast<size_t>(report.steps / 4));
  const ValidationSet examples(job.validation(), job.options.token_budget);
  EXPECT_EQ(examples.Loss(policy, nullptr), record.at("best_loss"));
  EXPECT_EQ(rows[report.best_step - 1].at("validation_loss"), record.at("best_loss"));

  // Up to the best step the run equals one without validation and with the same schedule.
  Policy plain = ToyPolicy(at::kDouble);
  SftJob job_without = OverfittingJob(&plain, FreshFolder("plain"));
  job_without.options.validate_every = 0;
  job_without.options.epochs = report.best_step / 2;
  EXPECT_EQ(RunSft(job_without).best_step, 0);
  EXPECT_EQ(MaxDifference(policy, plain), 0);
}

// Kills and resumes in many steps, also between evaluations and after the last one.
TEST(RunSft, KilledWhileValidating_DecidesTheSame) {
  Policy whole = ToyPolicy(at::kFloat);
  const auto whole_folder = FreshFolder("whole");
  const SftReport expected = RunSft(OverfittingJob(&whole, whole_folder));
  for (int64_t killed_after = 2; killed_after < expected.steps; killed_after += 3) {
    const auto folder = FreshFolder("killed");
    Policy killed = ToyPolicy(at::kFloat), resumed = ToyPolicy(at::kFloat);
    SftJob job = OverfittingJob(&killed, folder);
    int64_t asked = 0;
    job.example = [&](int64_t example, int64_t) {
      if (++asked > 10 + 5 * killed_after) throw std::runtime_error("power cut");
      return SftExample{RandomFamily(example), {}};
    };
    EXPECT_THROW(RunSft(job), std::runtime_error);
    const SftReport report = RunSft(OverfittingJob(&resumed, folder));
    EXPECT_EQ(report.steps, expected.steps);
    EXPECT_EQ(MaxDifference(whole, resumed), 0) << killed_after;
    EXPECT_EQ(ValidationOf(folder), ValidationOf(whole_folder));
    EXPECT_EQ(MetricsRows(folder).size(), MetricsRows(whole_folder).size());
  }
}

TEST(RunSft, StoppedEarlyAndStartedAgain_IsLoadedWithTheBestWeights) {
  Policy first = ToyPolicy(at::kFloat), second = ToyPolicy(at::kFloat);
  const auto folder = FreshFolder();
  const SftReport expected = RunSft(OverfittingJob(&first, folder));
  SftJob job = OverfittingJob(&second, folder);
  job.example = [](int64_t, int64_t) -> SftExample { throw std::runtime_error("trained again"); };
  EXPECT_EQ(RunSft(job).best_step, expected.best_step);
  EXPECT_EQ(MaxDifference(first, second), 0);
}

TEST(RunSft, ValidatingOnTwoLearners_DecidesAsOne) {
  Policy alone = ToyPolicy(at::kDouble);
  const auto alone_folder = FreshFolder("alone");
  const SftReport expected = RunSft(OverfittingJob(&alone, alone_folder));
  const auto folder = FreshFolder("pair");
  std::vector<Policy> policies;
  for (int rank = 0; rank < 2; ++rank) policies.push_back(ToyPolicy(at::kDouble));
  auto group = MakeLocalGroup(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      SftJob job = OverfittingJob(&policies[rank], folder);
      job.learners = group[rank].get();
      const SftReport report = RunSft(job);
      EXPECT_EQ(report.steps, expected.steps);
      EXPECT_EQ(report.best_step, expected.best_step);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(MaxDifference(policies[0], policies[1]), 0);
  EXPECT_LT(MaxDifference(alone, policies[0]), 1e-9);
}

}  // namespace
}  // namespace flame
