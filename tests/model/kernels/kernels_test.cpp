// Tests the kernels against plain tensor formulas; the policy's tests cover their derivatives.
#include "model/kernels/kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

// Returns [rows, columns] of numbers in about (-scale, scale).
at::Tensor Waves(int64_t rows, int64_t columns, at::ScalarType dtype, double scale) {
  return ((at::arange(rows * columns, at::kDouble) * 0.7).sin() * scale)
      .view({rows, columns})
      .to(dtype);
}

TEST(Kernels, SwiGlu_MatchesSigmoidOverTheWholeRange) {
  const at::Tensor gate = Waves(50, 33, at::kFloat, 120), up = Waves(50, 33, at::kFloat, 3);
  const at::Tensor exact =
      gate.to(at::kDouble) * at::sigmoid(gate.to(at::kDouble)) * up.to(at::kDouble);
  EXPECT_LT(Difference(SwiGlu(gate, up).to(at::kDouble), exact), 3e-7);
  EXPECT_LT(Difference(SwiGlu(gate * 0.01, up).to(at::kDouble),
                       (gate * 0.01 * at::sigmoid(gate * 0.01) * up).to(at::kDouble)),
            1e-6);
}

TEST(Kernels, SwiGluOfNan_IsNan) {
  at::Tensor gate = at::ones({1, 40});
  gate[0][17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(SwiGlu(gate, at::ones({1, 40})).isnan()[0][17].item<bool>());
}

TEST(Kernels, RmsNorm_MatchesItsFormula) {
  const at::Tensor x = Waves(70, 45, at::kDouble, 2), weight = Waves(1, 45, at::kDouble, 1)[0];
  const auto [y, inverse] = RmsNorm(x, weight, 1e-3);
  const at::Tensor expected = at::rsqrt(x.pow(2).mean(1) + 1e-3);
  EXPECT_LT(Difference(inverse, expected), 1e-14);
  EXPECT_LT(Difference(y, x * expected.unsqueeze(1) * weight), 1e-14);
}

TEST(Kernels, RotateBack_GivesTheStart) {
  const at::Tensor start = Waves(9, 3 * 8, at::kDouble, 1).view({9, 3, 8});
  const at::Tensor angle = Waves(9, 4, at::kDouble, 3);
  at::Tensor x = start.clone();
  Rotate(&x, angle.cos(), angle.sin(), false);
  const double a = start[5][1][2].item<double>(), b = start[5][1][6].item<double>();
  const double t = angle[5][2].item<double>();
  EXPECT_NEAR(x[5][1][2].item<double>(), a * std::cos(t) - b * std::sin(t), 1e-14);
  EXPECT_NEAR(x[5][1][6].item<double>(), b * std::cos(t) + a * std::sin(t), 1e-14);
  Rotate(&x, angle.cos(), angle.sin(), true);
  EXPECT_LT(Difference(x, start), 1e-14);
}

// Half a unit in the last place of a bfloat16, relative, plus room for float32 arithmetic.
constexpr double kRounding = 1.0 / 256 + 1e-5;

// Expects every element within one rounding of the exact one.
void ExpectRounded(const at::Tensor& found, const at::Tensor& exact) {
  ASSERT_EQ(found.scalar_type(), at::kBFloat16);
  const at::Tensor error = (found.to(at::kDouble) - exact).abs();
  EXPECT_LE((error - exact.abs() * kRounding).max().item<double>(), 1e-6);
}

TEST(KernelsInBfloat16, SwiGluAndItsGradients_AreRoundedOnce) {
  at::Tensor gate = Waves(40, 33, at::kBFloat16, 20), up = Waves(40, 33, at::kBFloat16, 3);
  const at::Tensor grad = Waves(33, 40, at::kBFloat16, 2).t().contiguous();
  const at::Tensor g = gate.to(at::kDouble), u = up.to(at::kDouble), dy = grad.to(at::kDouble);
  const at::Tensor s = at::sigmoid(g);
  ExpectRounded(SwiGlu(gate, up), g * s * u);
  ExpectRounded(SwiGluBackward(grad, &gate, &up), g * s * u);
  ExpectRounded(gate, dy * u * s * (1 + g * (1 - s)));
  ExpectRounded(up, dy * g * s);
}

TEST(KernelsInBfloat16, RmsNormAndItsGradients_AreRoundedOnce) {
  const at::Tensor x = Waves(70, 45, at::kBFloat16, 2), grad = Waves(70, 45, at::kBFloat16, 0.3);
  const at::Tensor residual = Waves(45, 70, at::kBFloat16, 1).t().contiguous();
  const at::Tensor weight = Waves(1, 45, at::kBFloat16, 1)[0];
  const auto [y, inverse] = RmsNorm(x, weight, 1e-3);
  ASSERT_EQ(inverse.scalar_type(), at::kFloat);
  const at::Tensor in = x.to(at::kDouble), w = weight.to(at::kDouble), dy = grad.to(at::kDouble);
  const at::Tensor inv = at::rsqrt(in.pow(2).mean(1, true) + 1e-3);
  ExpectRounded(y, in * inv * w);
  const auto [grad_x, grad_weight] = RmsNormBackward(grad, x, weight, inverse, residual);
  const at::Tensor pull = (dy * w * in).mean(1, true) * inv.pow(3);
  ExpectRounded(grad_x, residual.to(at::kDouble) + dy * w * inv - in * pull);
  ExpectRounded(grad_weight, (dy * in * inv).sum(0));
}

TEST(KernelsInBfloat16, Rotate_IsRoundedOnce) {
  at::Tensor x = Waves(9, 3 * 8, at::kBFloat16, 1).view({9, 3, 8});
  const at::Tensor start = x.to(at::kDouble), angle = Waves(9, 4, at::kFloat, 3);
  Rotate(&x, angle.cos(), angle.sin(), false);
  const at::Tensor c = angle.to(at::kDouble).cos().unsqueeze(1);
  const at::Tensor s = angle.to(at::kDouble).sin().unsqueeze(1);
  const at::Tensor a = start.narrow(2, 0, 4), b = start.narrow(2, 4, 4);
  ExpectRounded(x.narrow(2, 0, 4), a * c - b * s);
  ExpectRounded(x.narrow(2, 4, 4), b * c + a * s);
}

TEST(KernelsInBfloat16, Rounding_IsToTheNearestEvenAndKeepsNan) {
  const float numbers[] = {1.0f + 1.0f / 256, 1.0f + 3.0f / 256, 3.3e38f, 1e-40f};
  for (const float number : numbers) {
    at::Tensor x = at::ones({1, 32}, at::kBFloat16);
    const auto [y, inverse] = RmsNorm(x, at::full({32}, number, at::kFloat), 0.0);
    EXPECT_EQ(y[0][0].item<float>(), at::full({1}, number).to(at::kBFloat16).item<float>());
  }
  at::Tensor gate = at::ones({1, 40}, at::kBFloat16);
  gate[0][17] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(SwiGlu(gate, at::ones({1, 40}, at::kBFloat16)).isnan()[0][17].item<bool>());
}

TEST(KernelsInBfloat16, Dropout_ScalesWhatTheMaskKeeps) {
  const at::Tensor x = Waves(7, 130, at::kBFloat16, 2);
  const at::Tensor rows = at::arange(7);
  const at::Tensor mask = Dropout(at::ones({7, 130}, at::kDouble), 0.25, 9, 6, rows);
  ExpectRounded(Dropout(x, 0.25, 9, 6, rows), x.to(at::kDouble) * mask);
}

TEST(Dropout, Mask_IsThePublishedPhilox) {
  const double p = 0.25;
  const uint64_t seed = 0x123456789abcdef0;
  const at::Tensor rows = at::tensor({int64_t{0}, int64_t{9} << 32 | 7, int64_t{1} << 20});
  const at::Tensor y = Dropout(at::ones({3, 300}, at::kDouble), p, seed, 6, rows);
  for (int64_t row = 0; row < 3; ++row) {
    const auto number = static_cast<uint64_t>(rows[row].item<int64_t>());
    for (uint32_t column = 0; column < 300; ++column) {
      const auto block =
          Philox4x32({column / 128 * 16 + column % 16, static_cast<uint32_t>(number), 6,
                      static_cast<uint32_t>(number >> 32)},
                     {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
      const uint32_t piece = column % 128 / 16;
      const uint32_t drawn = block[piece / 2] >> (piece % 2 * 16) & 0xffff;
      ASSERT_EQ(y[row][column].item<double>(), drawn >= 16384 ? 1 / 0.75 : 0.0)
          << row << ", " << column;
    }
  }
}

TEST(Dropout, Share_IsTheProbability) {
  const at::Tensor y = Dropout(at::ones({500, 200}), 0.1, 3, 0, at::arange(500));
  EXPECT_NEAR(y.eq(0).to(at::kFloat).mean().item<float>(), 0.1, 0.005);
  EXPECT_NEAR(y.mean().item<float>(), 1.0, 0.005);
}

TEST(Dropout, OtherSeedOrMap_GivesAnotherMask) {
  const at::Tensor x = at::ones({20, 64}), rows = at::arange(20);
  const at::Tensor y = Dropout(x, 0.5, 1, 0, rows);
  EXPECT_FALSE(at::equal(y, Dropout(x, 0.5, 2, 0, rows)));
  EXPECT_FALSE(at::equal(y, Dropout(x, 0.5, 1, 1, rows)));
  EXPECT_FALSE(at::equal(y, Dropout(x, 0.5, uint64_t{1} << 40, 0, rows)));
}

}  // namespace
}  // namespace flame
