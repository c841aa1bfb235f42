// Tests the other devices' kernels against the CPU's, on the CPU.
#include "model/kernels/portable_kernels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "model/kernels/kernels.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

at::Tensor Waves(int64_t rows, int64_t columns, at::ScalarType dtype, double pace) {
  return ((at::arange(rows * columns, at::kDouble) * pace).sin() * 2)
      .view({rows, columns})
      .to(dtype);
}

void ExpectClose(const at::Tensor& found, const at::Tensor& expected) {
  ASSERT_EQ(found.scalar_type(), expected.scalar_type());
  // bfloat16 is rounded three times where operators pass it on.
  const double tolerance = expected.scalar_type() == at::kBFloat16 ? 1.5 / 128 : 1e-6;
  EXPECT_LT(Difference(found.to(at::kDouble), expected.to(at::kDouble)),
            expected.scalar_type() == at::kDouble ? 1e-13 : tolerance);
}

class PortableKernels : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::ScalarType dtype_ = GetParam();
};

TEST_P(PortableKernels, RmsNormAndGradients_AreTheCpus) {
  const at::Tensor x = Waves(70, 45, dtype_, 0.7), grad = Waves(70, 45, dtype_, 0.31);
  const at::Tensor residual = Waves(70, 45, dtype_, 0.11), weight = Waves(1, 45, dtype_, 0.9)[0];
  const auto [y, inverse] = RmsNorm(x, weight, 1e-3);
  const auto [y_found, inverse_found] = portable::RmsNorm(x, weight, 1e-3);
  ExpectClose(y_found, y);
  ExpectClose(inverse_found, inverse);
  const auto [grad_x, grad_weight] = RmsNormBackward(grad, x, weight, inverse, residual);
  const auto [x_found, weight_found] =
      portable::RmsNormBackward(grad, x, weight, inverse, residual);
  ExpectClose(x_found, grad_x);
  ExpectClose(weight_found, grad_weight);
}

TEST_P(PortableKernels, Rotate_IsTheCpus) {
  const at::Tensor angle = Waves(9, 4, at::toOpMathType(dtype_), 0.3);
  for (const bool inverse : {false, true}) {
    at::Tensor expected = Waves(9, 24, dtype_, 0.7).view({9, 3, 8}), found = expected.clone();
    Rotate(&expected, angle.cos(), angle.sin(), inverse);
    portable::Rotate(&found, angle.cos(), angle.sin(), inverse);
    ExpectClose(found, expected);
  }
}

TEST_P(PortableKernels, SwiGluAndGradients_AreTheCpus) {
  at::Tensor gate = Waves(50, 33, dtype_, 0.7), up = Waves(50, 33, dtype_, 0.3);
  const at::Tensor grad = Waves(50, 33, dtype_, 0.19);
  ExpectClose(portable::SwiGlu(gate, up), SwiGlu(gate, up));
  at::Tensor gate_found = gate.clone(), up_found = up.clone();
  const at::Tensor product = SwiGluBackward(grad, &gate, &up);
  ExpectClose(portable::SwiGluBackward(grad, &gate_found, &up_found), product);
  ExpectClose(gate_found, gate);
  ExpectClose(up_found, up);
}

TEST_P(PortableKernels, Dropout_HasTheSameBits) {
  // With this many numbers, some are drawn exactly at the threshold.
  const at::Tensor x = Waves(1001, 300, dtype_, 0.7);
  const at::Tensor rows = at::arange(1001) * ((int64_t{1} << 33) + 5);
  EXPECT_TRUE(at::equal(portable::Dropout(x, 0.25, 0x923456789abcdef0, 6, rows),
                        Dropout(x, 0.25, 0x923456789abcdef0, 6, rows)));
}

TEST_P(PortableKernels, Dequantize_HasTheSameBits) {
  for (const Quantization kind : {Quantization::kInt8, Quantization::kNf4}) {
    for (const int64_t columns : {64, 150, 7}) {
      QuantizedMatrix matrix = Quantize(Waves(5, columns, at::kFloat, 0.7), kind);
      matrix.levels = LevelTable(kind);
      EXPECT_TRUE(at::equal(portable::Dequantize(matrix, dtype_), Dequantize(matrix, dtype_)))
          << columns;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, PortableKernels,
                         testing::Values(at::kDouble, at::kFloat, at::kBFloat16));

}  // namespace
}  // namespace flame
