#include "trainer/sft/sft.h"

#include <gtest/gtest.h>

#include <csignal>
#include <map>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "base/signals.h"
#include "comm/local_communicator.h"
#include "tests/fake_device/fake_device.h"
#include "tests/trainer/sft/copy_task.h"

namespace flame {
namespace {

// Returns a job that validates after every second of up to 9 steps.
SftJob ValidatedJob(Policy* policy, const std::filesystem::path& folder) {
  SftJob job = CopyJob(policy, folder);
  job.options.validate_every = 2;
  job.options.patience = 2;
  job.validation = [] {
    std::vector<Family> families;
    for (int64_t example = 100; example < 107; ++example) families.push_back(CopyExample(example));
    return families;
  };
  return job;
}

TEST(RunSft, CopyTask_IsLearned) {
  Policy policy = ToyPolicy(at::kFloat);
  SftJob job = CopyJob(&policy, FreshFolder());
  job.num_examples = 64;
  job.options.epochs = 40;
  job.options.checkpoint_every = 1000;
  job.options.optimizer.learning_rate = 5e-3;
  job.options.optimizer.schedule = "linear";
  const SftReport report = RunSft(job);
  EXPECT_EQ(report.steps, 320);
  EXPECT_GT(report.first_loss, 1.5);
  EXPECT_LT(report.last_loss, 0.1);
}

TEST(RunSft, Metrics_HaveOneRowAStep) {
  Policy policy = ToyPolicy(at::kFloat);
  const auto folder = FreshFolder();
  const SftReport report = RunSft(CopyJob(&policy, folder));
  const auto rows = MetricsRows(folder);
  ASSERT_EQ(rows.size(), 9u);
  EXPECT_EQ(report.steps, 9);
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].at("step"), i + 1);
    for (const char* key :
         {"loss", "grad_norm", "learning_rate", "tokens_trained", "seconds", "tokens_per_second"}) {
      EXPECT_TRUE(rows[i].contains(key)) << key;
    }
  }
  EXPECT_NEAR(rows[0].at("learning_rate"), 0.5e-3, 1e-12);
  EXPECT_EQ(report.first_loss, rows[0].at("loss").get<double>());
}

TEST(RunSft, EveryEpoch_SeesEveryExampleOnce) {
  Policy policy = ToyPolicy(at::kFloat);
  SftJob job = CopyJob(&policy, FreshFolder());
  std::map<int64_t, std::vector<int64_t>> seen;  // by epoch
  job.example = [&seen](int64_t example, int64_t epoch) {
    seen[epoch].push_back(example);
    return Unweighted(example, epoch);
  };
  RunSft(job);
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_NE(seen[1], seen[2]);
  for (auto& [epoch, examples] : seen) {
    std::sort(examples.begin(), examples.end());
    // In the first epoch each example was also asked for its length.
    const int64_t times = epoch == 0 ? 2 : 1;
    ASSERT_EQ(examples.size(), 21u * times);
    for (int64_t i = 0; i < 21 * times; ++i) EXPECT_EQ(examples[i], i / times);
  }
}

// Returns the training and validation losses of a run.
std::vector<double> CurveOf(at::ScalarType dtype, int64_t token_budget, int64_t* micro_batches) {
  Policy policy = ToyPolicyWithAdapters(dtype, /*dropout=*/0.2);
  const auto folder = FreshFolder();
  SftJob job = ValidatedJob(&policy, folder);
  job.example = [](int64_t example, int64_t) {
    SftExample weighted{CopyExample(example), {}};
    for (size_t b = 0; b < weighted.family.branches.size(); ++b) {
      weighted.weights.push_back(1 + 0.5 * static_cast<double>(b));
    }
    return weighted;
  };
  job.options.token_budget = token_budget;
  job.options.patience = 0;
  job.recompute = token_budget < 100;
  RunSft(job);
  std::vector<double> curve;
  *micro_batches = 0;
  for (const auto& row : MetricsRows(folder)) {
    curve.push_back(row.at("loss"));
    if (row.contains("validation_loss")) curve.push_back(row.at("validation_loss"));
    *micro_batches += row.at("micro_batches").get<int64_t>();
  }
  return curve;
}

void ExpectSameCurves(at::ScalarType dtype, double tolerance) {
  int64_t whole = 0;
  const std::vector<double> expected = CurveOf(dtype, 16384, &whole);
  EXPECT_EQ(whole, 9);
  for (const int64_t budget : {1, 7, 12, 40}) {  // from one branch at a time to a few families
    int64_t micro_batches = 0;
    const std::vector<double> curve = CurveOf(dtype, budget, &micro_batches);
    EXPECT_GT(micro_batches, whole);
    ASSERT_EQ(curve.size(), expected.size());
    for (size_t i = 0; i < curve.size(); ++i) {
      EXPECT_NEAR(curve[i], expected[i], tolerance * expected[i]) << budget << " " << i;
    }
  }
}

TEST(RunSft, AnyTokenBudgetInDouble_SameCurve) { ExpectSameCurves(at::kDouble, 1e-12); }
TEST(RunSft, AnyTokenBudgetInFloat_SameCurve) { ExpectSameCurves(at::kFloat, 1e-5); }

TEST(RunSft, TwoLearners_EqualOne) {
  Policy alone = ToyPolicy(at::kDouble);
  const SftReport expected = RunSft(CopyJob(&alone, FreshFolder("alone")));
  const auto folder = FreshFolder("pair");
  std::vector<Policy> policies;
  for (int rank = 0; rank < 2; ++rank) policies.push_back(ToyPolicy(at::kDouble));
  auto group = MakeLocalGroup(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      SftJob job = CopyJob(&policies[rank], folder);
      job.learners = group[rank].get();
      const SftReport report = RunSft(job);
      EXPECT_NEAR(report.last_loss, expected.last_loss, 1e-10);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(MaxDifference(alone, policies[0]), 1e-10);
  EXPECT_EQ(MaxDifference(policies[0], policies[1]), 0);
  EXPECT_EQ(MetricsRows(folder).size(), 9u);
}

SftJob AdapterJob(Policy* policy, const std::filesystem::path& folder) {
  SftJob job = CopyJob(policy, folder);
  job.trainable = "lora";
  return job;
}

TEST(RunSft, KilledAndResumed_EqualsUninterruptedBitForBit) {
  Policy whole = ToyPolicyWithAdapters(at::kFloat, /*dropout=*/0.2);
  const auto whole_folder = FreshFolder("whole");
  const SftReport expected = RunSft(AdapterJob(&whole, whole_folder));

  const auto folder = FreshFolder("killed");
  Policy killed = ToyPolicyWithAdapters(at::kFloat, 0.2);
  SftJob job = AdapterJob(&killed, folder);
  int64_t asked = 0;
  job.example = [&asked](int64_t example, int64_t epoch) {
    // Fails within step 7, after 21 lengths and the 42 examples of two epochs. Step 6 is saved.
    if (++asked > 66) throw std::runtime_error("power cut");
    return Unweighted(example, epoch);
  };
  EXPECT_THROW(RunSft(job), std::runtime_error);

  Policy resumed = ToyPolicyWithAdapters(at::kFloat, 0.2);
  const SftReport report = RunSft(AdapterJob(&resumed, folder));
  EXPECT_EQ(MaxDifference(whole, resumed), 0);
  EXPECT_EQ(report.first_loss, expected.first_loss);
  EXPECT_EQ(report.last_loss, expected.last_loss);
  const auto rows = MetricsRows(folder), whole_rows = MetricsRows(whole_folder);
  ASSERT_EQ(rows.size(), whole_rows.size());
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i].at("loss"), whole_rows[i].at("loss"));
}

TEST(RunSft, OnADevice_TrainsAsOnTheCpu) {
  for (const char* trainable : {"full", "lora"}) {
    Policy cpu = ToyPolicyWithAdapters(at::kFloat, 0.2);
    Policy device = ToyPolicyWithAdapters(at::kFloat, 0.2);
    device.MoveTo(FakeDevice());
    SftJob job = CopyJob(&cpu, FreshFolder(std::string("cpu-") + trainable));
    job.trainable = trainable;
    const SftReport expected = RunSft(job);
    job.policy = &device;
    job.folder = FreshFolder(std::string("device-") + trainable);
    EXPECT_NEAR(RunSft(job).last_loss, expected.last_loss, 1e-4) << trainable;
    EXPECT_LT(MaxDifference(device, cpu), 1e-4) << trainable;
    Policy offloaded = ToyPolicyWithAdapters(at::kFloat, 0.2);
    offloaded.MoveTo(FakeDevice());
    SftJob other = job;
    other.policy = &offloaded;
    other.folder = FreshFolder(std::string("offloaded-") + trainable);
    other.sharding.offload_optimizer = true;
    RunSft(other);
    EXPECT_LT(MaxDifference(offloaded, device), 1e-6) << trainable;
    // A policy on the CPU resumes from the checkpoint of the one on the device.
    Policy resumed = ToyPolicyWithAdapters(at::kFloat, 0.2);
    job.policy = &resumed;
    RunSft(job);
    EXPECT_EQ(MaxDifference(resumed, device), 0) << trainable;
  }
}

TEST(RunSft, TwoLearnersOnADevice_EqualOne) {
  Policy alone = ToyPolicy(at::kFloat);
  RunSft(CopyJob(&alone, FreshFolder("alone")));
  const auto folder = FreshFolder("pair");
  std::vector<Policy> policies;
  for (int rank = 0; rank < 2; ++rank) {
    policies.push_back(ToyPolicy(at::kFloat));
    policies.back().MoveTo(FakeDevice());
  }
  auto group = MakeLocalGroup(2);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 2; ++rank) {
    threads.emplace_back([&, rank] {
      SftJob job = CopyJob(&policies[rank], folder);
      job.learners = group[rank].get();
      // The policy is not `full`, because ranks in one process share the device's autograd thread:
      // there, the backward of one rank would wait for the other's.
      job.sharding.policy = Sharding::kOptimizer;
      RunSft(job);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(MaxDifference(alone, policies[0]), 1e-4);
  EXPECT_EQ(MaxDifference(policies[0], policies[1]), 0);
}

TEST(RunSft, Finished_IsLoadedWithoutTraining) {
  const auto folder = FreshFolder();
  Policy first = ToyPolicy(at::kFloat), second = ToyPolicy(at::kFloat);
  const SftReport expected = RunSft(CopyJob(&first, folder));
  SftJob job = CopyJob(&second, folder);
  job.example = [](int64_t, int64_t) -> SftExample {
    throw std::runtime_error("nothing is left to train on");
  };
  const SftReport report = RunSft(job);
  EXPECT_EQ(MaxDifference(first, second), 0);
  EXPECT_EQ(report.steps, expected.steps);
  EXPECT_EQ(report.last_loss, expected.last_loss);
}

TEST(RunSft, OtherConfigInFolder_IsRefused) {
  const auto folder = FreshFolder();
  Policy policy = ToyPolicy(at::kFloat);
  RunSft(CopyJob(&policy, folder));
  SftJob job = CopyJob(&policy, folder);
  job.config_sha256 = "another digest";
  EXPECT_THROW(RunSft(job), DataError);
}

TEST(RunSft, NoExamples_IsRefused) {
  Policy policy = ToyPolicy(at::kFloat);
  SftJob job = CopyJob(&policy, FreshFolder());
  job.num_examples = 0;
  EXPECT_THROW(RunSft(job), DataError);
}

TEST(RunSft, NoTokenAskedFor_IsRefused) {
  Policy policy = ToyPolicy(at::kFloat);
  SftJob job = CopyJob(&policy, FreshFolder());
  job.example = [](int64_t, int64_t) { return SftExample{{{1}, {{{2}, 1}}}, {}}; };
  EXPECT_THROW(RunSft(job), DataError);
}

// Requests a stop during step 4 and ends the process with the exception's status.
void StopInStepFour(SftJob job) {
  InstallStopSignals();
  int64_t asked = 0;
  job.example = [&asked](int64_t example, int64_t epoch) {
    if (++asked == 44) std::raise(SIGUSR1);  // after 21 lengths and the 21 examples of an epoch
    return Unweighted(example, epoch);
  };
  try {
    RunSft(job);
  } catch (const Stopped& stopped) {
    std::_Exit(static_cast<int>(stopped.status()));
  }
  std::_Exit(0);
}

TEST(RunSftDeathTest, StopSignal_SavesTheStepAndIsResumable) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto folder = FreshFolder("stopped");
  Policy policy = ToyPolicy(at::kFloat);
  EXPECT_EXIT(StopInStepFour(CopyJob(&policy, folder)), testing::ExitedWithCode(75), "");
  EXPECT_EQ(MetricsRows(folder).size(), 4u);
  Policy whole = ToyPolicy(at::kFloat), resumed = ToyPolicy(at::kFloat);
  RunSft(CopyJob(&whole, FreshFolder("whole")));
  RunSft(CopyJob(&resumed, folder));
  EXPECT_EQ(MaxDifference(whole, resumed), 0);
}

}  // namespace
}  // namespace flame
