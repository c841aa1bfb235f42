// Weights of answers, and the rate of projectors.
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <map>
#include <stdexcept>

#include "tests/trainer/sft/copy_task.h"

namespace flame {
namespace {

// Branches of weight 0 train nothing: the result is that of examples without them.
TEST(RunSft, BranchesOfNoWeight_AreAsIfAbsent) {
  Policy weighted = ToyPolicy(at::kDouble), without = ToyPolicy(at::kDouble);
  SftJob job = CopyJob(&weighted, FreshFolder("weighted"));
  job.options.optimizer.learning_rate = 1e-4;
  job.options.batch = 21;  // one step per epoch: the order, which depends on lengths, is irrelevant
  job.example = [](int64_t example, int64_t) {
    SftExample some{CopyExample(example), {}};
    for (size_t b = 0; b < some.family.branches.size(); ++b) some.weights.push_back(b == 0 ? 3 : 0);
    return some;
  };
  const SftReport report = RunSft(job);
  job = CopyJob(&without, FreshFolder("without"));
  job.options.optimizer.learning_rate = 1e-4;
  job.options.batch = 21;
  job.example = [](int64_t example, int64_t) {
    SftExample some{CopyExample(example), {}};
    some.family.branches.resize(1);
    return some;
  };
  EXPECT_NEAR(report.last_loss, RunSft(job).last_loss, 1e-12);
  EXPECT_LT(MaxDifference(weighted, without), 1e-9);
}

// Five steps: early weights count fully at the first and no longer from the fourth on.
TEST(RunSft, EarlyWeights_MoveToTheWeights) {
  Policy early = ToyPolicy(at::kDouble), by_hand = ToyPolicy(at::kDouble);
  SftJob job = CopyJob(&early, FreshFolder("early"));
  job.options.batch = 21;  // one step per epoch
  job.options.epochs = 5;
  job.example = [](int64_t example, int64_t) {
    SftExample some{CopyExample(example), {}};
    some.weights.assign(some.family.branches.size(), 2);
    some.early_weights.assign(some.family.branches.size(), 2);
    some.early_weights[0] = 5;
    return some;
  };
  const SftReport report = RunSft(job);
  job = CopyJob(&by_hand, FreshFolder("by-hand"));
  job.options.batch = 21;
  job.options.epochs = 5;
  job.example = [](int64_t example, int64_t epoch) {
    SftExample some{CopyExample(example), {}};
    some.weights.assign(some.family.branches.size(), 2);
    some.weights[0] = std::vector<double>{5, 4, 3, 2, 2}[epoch];
    return some;
  };
  EXPECT_NEAR(report.last_loss, RunSft(job).last_loss, 1e-12);
  EXPECT_LT(MaxDifference(early, by_hand), 1e-9);
}

// An answer with a share s is as two branches: the truth with weight 1 - s, the other with s. Five
// steps: the share is whole at the first and 0 from the fourth on.
TEST(RunSft, EarlyAnswers_AreSharesOfTheLastToken) {
  constexpr int32_t kOther = 3;
  Policy early = ToyPolicy(at::kDouble), by_hand = ToyPolicy(at::kDouble);
  SftJob job = CopyJob(&early, FreshFolder("early"));
  job.options.batch = 21;  // one step per epoch
  job.options.epochs = 5;
  job.example = [](int64_t example, int64_t) {
    SftExample some{CopyExample(example), {}};
    some.weights.assign(some.family.branches.size(), 1);
    some.weights[0] = 3;
    if (example % 3 == 0) return some;  // examples without early answers beside others
    some.early_answers.resize(some.family.branches.size());
    some.early_answers[0] = {kOther, 0.6};
    return some;
  };
  const SftReport report = RunSft(job);
  job = CopyJob(&by_hand, FreshFolder("by-hand"));
  job.options.batch = 21;
  job.options.epochs = 5;
  job.example = [](int64_t example, int64_t epoch) {
    SftExample some{CopyExample(example), {}};
    const double share = example % 3 == 0 ? 0 : std::vector<double>{0.6, 0.4, 0.2, 0, 0}[epoch];
    some.weights.assign(some.family.branches.size(), 1);
    some.weights[0] = 3 * (1 - share);
    some.weights.push_back(3 * share);
    some.family.branches.push_back(some.family.branches[0]);
    some.family.branches.back().tokens.back() = kOther;
    return some;
  };
  EXPECT_NEAR(report.last_loss, RunSft(job).last_loss, 1e-12);
  EXPECT_LT(MaxDifference(early, by_hand), 1e-9);
}

SftExample WeighedEarly(int64_t example, int64_t epoch) {
  SftExample some = Unweighted(example, epoch);
  some.early_weights.assign(some.family.branches.size(), 1);
  some.early_weights[0] = 4;
  return some;
}

TEST(RunSft, EarlyWeightsResumed_EqualUninterrupted) {
  Policy whole = ToyPolicy(at::kFloat), resumed = ToyPolicy(at::kFloat);
  SftJob job = CopyJob(&whole, FreshFolder("whole"));
  job.example = WeighedEarly;
  RunSft(job);
  job = CopyJob(&resumed, FreshFolder("killed"));
  int64_t asked = 0;
  job.example = [&asked](int64_t example, int64_t epoch) {
    if (++asked > 66) throw std::runtime_error("power cut");  // within step 7; step 6 is saved
    return WeighedEarly(example, epoch);
  };
  EXPECT_THROW(RunSft(job), std::runtime_error);
  Policy again = ToyPolicy(at::kFloat);
  job.policy = &again;
  job.example = WeighedEarly;
  RunSft(job);
  EXPECT_EQ(MaxDifference(whole, again), 0);
}

// Tokens 16 to 18 stand for three drugs.
Policy PolicyWithProjector() {
  Policy policy = ToyPolicy(at::kFloat);
  EntitySlots slots;
  slots.kind = "drug";
  slots.first_token = 16;
  slots.hidden = 6;
  slots.collab = at::ones({3, 4}, at::kFloat);
  policy.AddEntities({slots}, /*seed=*/7);
  return policy;
}

TEST(RunSft, ProjectorRate_MovesProjectorsAlone) {
  std::map<std::string, at::Tensor> before;
  Policy policy = PolicyWithProjector();
  for (const auto& [name, tensor] : policy.parameters()) before[name] = tensor.detach().clone();
  SftJob job = CopyJob(&policy, FreshFolder());
  job.options.optimizer.projector_rate = 1e-12;
  job.example = [](int64_t example, int64_t) {
    SftExample made{CopyExample(example), {}};
    made.family.trunk.push_back(static_cast<int32_t>(16 + example % 3));
    return made;
  };
  RunSft(job);
  bool words_moved = false;
  for (const auto& [name, tensor] : policy.parameters()) {
    const double moved = (tensor.detach() - before.at(name)).abs().max().item<double>();
    if (name.starts_with("entities.")) {
      EXPECT_LT(moved, 1e-9) << name;
    } else {
      words_moved |= moved > 1e-4;
    }
  }
  EXPECT_TRUE(words_moved);
}

}  // namespace
}  // namespace flame
