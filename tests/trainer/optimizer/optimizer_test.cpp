#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "trainer/optimizer/adamw.h"
#include "trainer/optimizer/make_optimizer.h"
#include "trainer/optimizer/schedule.h"

namespace flame {
namespace {

at::Tensor Doubles(const std::vector<double>& values, std::vector<int64_t> shape) {
  at::Tensor tensor = at::empty(shape, at::kDouble);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<double>());
  return tensor;
}

void ExpectNear(const at::Tensor& tensor, const std::vector<double>& expected, double tolerance) {
  const at::Tensor flat = tensor.detach().to(at::kDouble).contiguous();
  ASSERT_EQ(flat.numel(), static_cast<int64_t>(expected.size()));
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(flat.const_data_ptr<double>()[i], expected[i], tolerance) << i;
  }
}

OptimizerOptions CaseOptions() {
  OptimizerOptions options;
  options.beta1 = 0.9;
  options.beta2 = 0.99;
  options.epsilon = 1e-6;
  options.weight_decay = 0.05;
  return options;
}

// Expected numbers: torch.optim.AdamW (2.11) in float64 with betas (0.9, 0.99), eps 1e-6,
// weight_decay 0.05 and lr 0.1 / t over t = 1, 2, 3 on the gradients below.
void ExpectTorchNumbers(at::ScalarType dtype, double tolerance) {
  const NamedTensors parameters = {{"p", Doubles({1.0, -2.0, 0.5}, {3}).to(dtype)},
                                   {"q", Doubles({0.25, -0.75}, {1, 2}).to(dtype)}};
  AdamW optimizer(parameters, CaseOptions());
  for (int t = 1; t <= 3; ++t) {
    optimizer.Update({{"p", Doubles({0.1 * t, -0.2, 0.3 / t}, {3}).to(dtype)},
                      {"q", Doubles({1.0, -1.0 * t}, {1, 2}).to(dtype)}},
                     0.1 / t);
  }
  ExpectNear(parameters.at("p"), {0.8113114534906357, -1.7988837891641793, 0.32005984705109547},
             tolerance);
  ExpectNear(parameters.at("q"), {0.06488101095856716, -0.5635955733515252}, tolerance);
  ExpectNear(optimizer.exp_avg().at("p"), {0.0561, -0.0542, 0.0478}, tolerance);
  ExpectNear(optimizer.exp_avg_sq().at("q"), {0.029701, 0.139401}, tolerance);
}

TEST(AdamW, ThreeUpdatesInDouble_MatchTorch) { ExpectTorchNumbers(at::kDouble, 1e-14); }
TEST(AdamW, ThreeUpdatesInFloat_MatchTorch) { ExpectTorchNumbers(at::kFloat, 1e-6); }

TEST(AdamW, ParameterWithAShareOfTheRate_MovesAsAtThatRate) {
  const NamedTensors both = {{"p", Doubles({1, 2}, {2})}, {"q", Doubles({1, 2}, {2})}};
  const NamedTensors slow = {{"q", Doubles({1, 2}, {2})}};
  AdamW optimizer(both, CaseOptions(), /*offload=*/false, {{"q", 0.25}, {"absent", 0.5}});
  AdamW alone(slow, CaseOptions());
  for (int t = 1; t <= 3; ++t) {
    const at::Tensor gradient = Doubles({0.3 * t, -0.1}, {2});
    optimizer.Update({{"p", gradient}, {"q", gradient}}, 0.1);
    alone.Update({{"q", gradient}}, 0.025);
  }
  EXPECT_TRUE(both.at("q").equal(slow.at("q")));
  EXPECT_FALSE(both.at("p").equal(slow.at("q")));
  EXPECT_EQ(optimizer.updates(), 3);
}

TEST(AdamW, MomentsAndCountRestored_GoOnTheSame) {
  const at::Tensor gradient = Doubles({0.3, -0.1}, {2});
  const NamedTensors a = {{"p", Doubles({1, 2}, {2})}};
  AdamW first(a, CaseOptions());
  first.Update({{"p", gradient}}, 0.1);

  const NamedTensors b = {{"p", a.at("p").clone()}};
  AdamW second(b, CaseOptions());
  at::Tensor(second.exp_avg().at("p")).copy_(first.exp_avg().at("p"));
  at::Tensor(second.exp_avg_sq().at("p")).copy_(first.exp_avg_sq().at("p"));
  second.set_updates(first.updates());
  first.Update({{"p", gradient}}, 0.1);
  second.Update({{"p", gradient}}, 0.1);
  EXPECT_TRUE(a.at("p").equal(b.at("p")));
}

// Expected numbers by the formula in the header.
TEST(RmsProp, TwoUpdates_AsByHand) {
  OptimizerOptions options;
  options.method = OptimizerOptions::Method::kRmsProp;
  options.beta2 = 0.9;
  options.weight_decay = 0.5;
  options.epsilon = 1e-8;
  const NamedTensors parameters = {{"p", Doubles({2.0, -1.0}, {2})}};
  const auto optimizer = MakeOptimizer(parameters, options, /*offload=*/false, {});
  double p[] = {2.0, -1.0}, v[] = {0, 0};
  for (int t = 1; t <= 2; ++t) {
    const double g[] = {0.3 * t, -0.2};
    optimizer->Update({{"p", Doubles({g[0], g[1]}, {2})}}, 0.1);
    for (int i = 0; i < 2; ++i) {
      const double with_decay = g[i] + 0.5 * p[i];
      v[i] = 0.9 * v[i] + 0.1 * with_decay * with_decay;
      p[i] -= 0.1 * with_decay / (std::sqrt(v[i]) + 1e-8);
    }
  }
  ExpectNear(parameters.at("p"), {p[0], p[1]}, 1e-14);
  ExpectNear(optimizer->State().at("square_avg").at("p"), {v[0], v[1]}, 1e-14);
  EXPECT_EQ(optimizer->updates(), 2);
}

// Expected numbers: transformers 5.23, get_scheduler(name, ..., num_warmup_steps=4,
// num_training_steps=11).lr_lambdas at steps 1..10.
TEST(LearningRateFactor, EverySchedule_MatchesTransformers) {
  const std::map<std::string, std::vector<double>> expected = {
      {"constant", {0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1}},
      {"linear",
       {0.25, 0.5, 0.75, 1.0, 0.857142857142857, 0.714285714285714, 0.571428571428571,
        0.428571428571429, 0.285714285714286, 0.142857142857143}},
      {"cosine",
       {0.25, 0.5, 0.75, 1.0, 0.95048443395121, 0.811744900929367, 0.611260466978157,
        0.388739533021843, 0.188255099070633, 0.04951556604879}},
      {"inverse_sqrt",
       {0.25, 0.5, 0.75, 1.0, 0.894427190999916, 0.816496580927726, 0.755928946018454,
        0.707106781186547, 0.666666666666667, 0.632455532033676}}};
  for (const auto& [schedule, factors] : expected) {
    OptimizerOptions options;
    options.schedule = schedule;
    options.warmup = 4;
    for (int64_t update = 1; update <= 10; ++update) {
      EXPECT_NEAR(LearningRateFactor(options, update, 10), factors[update - 1], 1e-14)
          << schedule << " " << update;
    }
  }
}

TEST(LearningRateFactor, NoWarmup_StartsNearPeak) {
  OptimizerOptions options;
  options.warmup = 0;
  for (const std::string schedule : {"constant", "inverse_sqrt"}) {
    options.schedule = schedule;
    EXPECT_EQ(LearningRateFactor(options, 1, 10), 1) << schedule;
  }
  options.schedule = "cosine";
  EXPECT_NEAR(LearningRateFactor(options, 1, 1), 0.5, 1e-15);
}

}  // namespace
}  // namespace flame
