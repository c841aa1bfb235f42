// Tests quantised matrices against their definition, computed here in double, and policies with
// them against the policy with the dequantised matrices.
#include "model/kernels/quantized.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "base/error.h"
#include "model/files/policy_files.h"
#include "model/policy.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

// Returns x with P(normal <= x) = p, by bisection.
double NormalQuantile(double p) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return low;
}

// Nf4 has eight quantiles above the median and seven below, evenly spaced in probability from the
// mean of 1 - 1/30 and 1 - 1/32, which leaves as much beyond the ends as lies between (QLoRA,
// section 3).
TEST(Nf4Levels, AreQuantilesOfANormalDistribution) {
  const double end = (1 - 1.0 / 30 + 1 - 1.0 / 32) / 2, largest = NormalQuantile(end);
  for (int k = 0; k < 16; ++k) {
    const double steps = k < 7 ? k / 7.0 : (15 - k) / 8.0;
    const double p = end + (0.5 - end) * steps;
    const double expected = (k < 7 ? -1 : 1) * NormalQuantile(p) / largest;
    EXPECT_NEAR(kNf4Levels[k], expected, 1e-6) << k;
  }
  EXPECT_EQ(kNf4Levels[7], 0.0f);
}

// Returns rows of different scale. 150 columns are two blocks of 64 and one of 22.
at::Tensor TestMatrix(int64_t columns) {
  at::Tensor values = (at::arange(5 * columns, at::kDouble) * 12.9898).sin() * 43.7;
  values = (values - values.floor() - 0.4).view({5, columns});
  return values * at::arange(1, 6, at::kDouble).exp().unsqueeze(1);
}

std::vector<double> LevelsOf(Quantization kind) {
  if (kind == Quantization::kNf4) return {kNf4Levels.begin(), kNf4Levels.end()};
  std::vector<double> levels;
  for (int c = -127; c <= 127; ++c) levels.push_back(c / 127.0);
  return levels;
}

class EachKind : public ::testing::TestWithParam<Quantization> {};

TEST_P(EachKind, EveryNumber_IsTheNearestLevelTimesItsBlocksLargest) {
  for (const int64_t columns : {150, 65, 64, 3, 1}) {
    const at::Tensor values = TestMatrix(columns).to(at::kFloat);
    const at::Tensor found = Dequantize(Quantize(values, GetParam()), at::kDouble);
    const int64_t size = GetParam() == Quantization::kNf4 ? 64 : columns;
    for (int64_t row = 0; row < 5; ++row) {
      for (int64_t column = 0; column < columns; ++column) {
        const int64_t from = column / size * size;
        const double largest =
            values[row].narrow(0, from, std::min(size, columns - from)).abs().max().item<double>();
        const double value = values[row][column].item<double>();
        double nearest = std::numeric_limits<double>::infinity();
        for (const double level : LevelsOf(GetParam())) {
          nearest = std::min(nearest, std::abs(level * largest - value));
        }
        // The dequantised number must be as near to the value as any level is.
        ASSERT_NEAR(std::abs(found[row][column].item<double>() - value), nearest, 1e-6 * largest)
            << "row " << row << " column " << column << " of " << columns;
      }
    }
  }
}

TEST_P(EachKind, QuantisingAgain_ChangesNoBit) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor values = TestMatrix(150).to(dtype);
    const QuantizedMatrix once = Quantize(values, GetParam());
    const QuantizedMatrix twice = Quantize(Dequantize(once, dtype), GetParam());
    EXPECT_TRUE(at::equal(once.codes, twice.codes)) << dtype;
    EXPECT_TRUE(at::equal(once.absmax, twice.absmax)) << dtype;
  }
}

TEST_P(EachKind, BlocksOfRows_GiveTheWhole) {
  const at::Tensor values = TestMatrix(150);
  const QuantizedMatrix whole = Quantize(values, GetParam());
  QuantizedMatrix parts = EmptyQuantized(GetParam(), 5, 150);
  QuantizeRows(values.narrow(0, 3, 2), 3, &parts);
  QuantizeRows(values.narrow(0, 0, 3), 0, &parts);
  EXPECT_TRUE(at::equal(whole.codes, parts.codes));
  EXPECT_TRUE(at::equal(whole.absmax, parts.absmax));
}

TEST_P(EachKind, Zeros_StayZerosAndInfinityIsRefused) {
  const at::Tensor zeros = at::zeros({2, 70}, at::kFloat);
  EXPECT_TRUE(at::equal(Dequantize(Quantize(zeros, GetParam()), at::kFloat), zeros));
  for (const double bad : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    at::Tensor values = TestMatrix(70);
    values[1][3] = bad;
    EXPECT_THROW(Quantize(values, GetParam()), DataError);
  }
}

TEST(Quantized, Sizes_AreThoseOfTheBits) {
  const at::Tensor values = at::zeros({8, 128}, at::kFloat);
  EXPECT_EQ(Quantize(values, Quantization::kInt8).NumBytes(), 8 * (128 + 4));
  EXPECT_EQ(Quantize(values, Quantization::kNf4).NumBytes(), 8 * (64 + 2 * 4));  // 4.5 bits each
  EXPECT_THROW(QuantizationOf("int4"), UsageError);
}

struct Result {
  at::Tensor logprobs;
  std::map<std::string, at::Tensor> gradients;
};

Result RunAdapters(Policy* policy, bool recompute) {
  const auto trainable = policy->SelectTrainable("adapters");
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 41));
  ForwardOptions options;
  options.dropout_seed = 3;
  options.recompute = recompute;
  Result run;
  run.logprobs = policy->LogProbs(policy->Hidden(batch, options), batch.sources, batch.targets);
  run.logprobs.sum().backward();
  for (const auto& [name, tensor] : trainable) run.gradients[name] = tensor.grad().clone();
  return run;
}

Policy QuantizedPolicy(Quantization kind, at::ScalarType dtype) {
  Policy policy = TestPolicy(TestConfigOf("Qwen2ForCausalLM"), dtype);
  AddTestAdapters(&policy, /*dropout=*/0.2);
  policy.QuantizeMaps(kind);
  return policy;
}

// Returns the same policy with dense weights.
Policy DenseTwin(const Policy& policy, at::ScalarType dtype) {
  Policy dense = TestPolicy(TestConfigOf("Qwen2ForCausalLM"), dtype);
  AddTestAdapters(&dense, /*dropout=*/0.2);
  for (const auto& [name, matrix] : policy.quantized()) {
    dense.parameters()[name] = Dequantize(matrix, dtype);
  }
  return dense;
}

TEST_P(EachKind, AdapterGradients_EqualThoseOverTheDenseWeights) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Policy policy = QuantizedPolicy(GetParam(), dtype);
    EXPECT_EQ(policy.quantized().size(), 3u * 7);
    EXPECT_FALSE(policy.parameters().contains("model.layers.0.mlp.up_proj.weight"));
    Policy dense = DenseTwin(policy, dtype);
    const Result found = RunAdapters(&policy, /*recompute=*/true);
    const Result expected = RunAdapters(&dense, /*recompute=*/false);
    EXPECT_TRUE(at::equal(found.logprobs, expected.logprobs)) << dtype;
    ASSERT_EQ(found.gradients.size(), 3u * 7 * 2);
    for (const auto& [name, gradient] : expected.gradients) {
      EXPECT_TRUE(at::equal(found.gradients.at(name), gradient)) << name;
      EXPECT_GT(gradient.abs().max().item<double>(), 0) << name;
    }
  }
}

class QuantizedFolder : public EachKind {
 protected:
  void TearDown() override { fs::remove_all(folder_); }
  const fs::path folder_ =
      fs::temp_directory_path() / ("flame-quantized-" + std::to_string(getpid()));
};

void ExpectSameMatrices(const Policy& a, const Policy& b) {
  ASSERT_EQ(a.quantized().size(), b.quantized().size());
  for (const auto& [name, matrix] : a.quantized()) {
    EXPECT_TRUE(at::equal(matrix.codes, b.quantized().at(name).codes)) << name;
    EXPECT_TRUE(at::equal(matrix.absmax, b.quantized().at(name).absmax)) << name;
  }
  for (const auto& [name, tensor] : a.parameters()) {
    EXPECT_TRUE(at::equal(tensor, b.parameters().at(name))) << name;
  }
}

TEST_P(QuantizedFolder, LoadingQuantised_EqualsQuantisingWhatWasLoaded) {
  SavePolicy(TestPolicy(at::kFloat), folder_);
  Policy expected = LoadPolicy(folder_, at::kBFloat16);
  expected.QuantizeMaps(GetParam());
  ExpectSameMatrices(LoadPolicy(folder_, at::kBFloat16, GetParam()), expected);
}

TEST_P(QuantizedFolder, SavedAndLoaded_IsTheSame) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const Policy policy = QuantizedPolicy(GetParam(), dtype);
    SavePolicy(policy, folder_);
    ExpectSameMatrices(policy, LoadPolicy(folder_, dtype, GetParam()));
    fs::remove_all(folder_);
  }
}

TEST_P(QuantizedFolder, MergedMaps_StayPlain) {
  const std::vector<std::string> all = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                        "gate_proj", "up_proj", "down_proj"};
  for (const size_t adapted : {size_t{1}, all.size()}) {
    Policy policy = TestPolicy(at::kFloat);
    LoraOptions options;
    options.targets = {all.begin(), all.begin() + static_cast<int64_t>(adapted)};
    policy.AddAdapters(options, 1);
    policy.parameters().at("model.layers.1.self_attn.q_proj.lora_B.weight").fill_(0.01);
    policy.QuantizeMaps(GetParam());
    const FamilyBatch batch = PackFamilies(VariedFamilies(37, 42));
    const at::Tensor before = policy.Hidden(batch, {});
    policy.MergeAdapters();
    EXPECT_EQ(policy.quantized().size(), 3u * (7 - adapted));
    EXPECT_LT(Difference(policy.Hidden(batch, {}), before), 1e-5);
    SavePolicy(policy, folder_);
    ExpectSameMatrices(policy, LoadPolicy(folder_, at::kFloat, GetParam()));
    fs::remove_all(folder_);
  }
}

TEST_P(EachKind, FullTraining_IsRefused) {
  Policy policy = QuantizedPolicy(GetParam(), at::kFloat);
  EXPECT_THROW(policy.SelectTrainable("full"), UsageError);
  Policy training = TestPolicy(at::kFloat);
  training.SelectTrainable("full");
  EXPECT_THROW(training.QuantizeMaps(GetParam()), UsageError);
}

const auto kKinds = ::testing::Values(Quantization::kInt8, Quantization::kNf4);
std::string KindName(const ::testing::TestParamInfo<Quantization>& kind) {
  return kind.param == Quantization::kInt8 ? "int8" : "nf4";
}
INSTANTIATE_TEST_SUITE_P(Quantized, EachKind, kKinds, KindName);
INSTANTIATE_TEST_SUITE_P(Quantized, QuantizedFolder, kKinds, KindName);

}  // namespace
}  // namespace flame
