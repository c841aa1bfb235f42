// Tests attention of a static step against the CPU's kernel, on the CPU.
#include "model/kernels/static_step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "tests/model/kernels/draw.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

struct Heads {
  int64_t heads, kv_heads, d;
};

// Runs both attentions over the same branches, step by step: nine rows over three of four trunks.
// One trunk has six rows, and one place is empty.
class BothAttentions {
 public:
  BothAttentions(const Heads& heads, at::ScalarType dtype, int64_t steps)
      : heads_(heads),
        dtype_(dtype),
        steps_(steps),
        static_({.rows = kRows,
                 .places = 4,
                 .group = 6,
                 .trunk_tokens = kTrunk,
                 .own_tokens = steps,
                 .kv_heads = heads.kv_heads},
                at::kCPU) {
    const auto cache = [&](int64_t count, int64_t capacity, KeyLayout layout) {
      return KeyValueCache(count, heads.kv_heads, capacity, heads.d, at::TensorOptions(dtype),
                           layout);
    };
    for (const KeyLayout layout : {KeyLayout::kBlocks, KeyLayout::kRows}) {
      trunks_.push_back(cache(4, kTrunk, layout)), own_.push_back(cache(kRows, steps, layout));
    }
    for (const auto& [place, size] : {std::pair<int64_t, int64_t>{3, 1}, {1, 64}, {0, kTrunk}}) {
      const at::Tensor key = Draw({size, heads.kv_heads, heads.d}, dtype, &random_);
      const at::Tensor value = Draw({size, heads.kv_heads, heads.d}, dtype, &random_);
      for (KeyValueCache& trunks : trunks_) trunks.Fill(place, key, value);
      static_.SetTrunk(place, size);
      step_.groups.push_back({place, size, {}});
    }
    for (const size_t group : {2, 1, 1, 0, 2, 1, 1, 1, 1}) {
      const auto row = static_cast<int64_t>(step_.slots.size());
      step_.groups[group].rows.push_back(row);
      step_.slots.push_back(row);
      step_.own_size.push_back(0);
      static_.Begin(row, step_.groups[group].place);
    }
  }

  double LargestDifference() {
    double largest = 0;
    for (int64_t t = 0; t < steps_; ++t) {
      const AttentionInput input = {Draw({kRows, heads_.heads, heads_.d}, dtype_, &random_),
                                    Draw({kRows, heads_.kv_heads, heads_.d}, dtype_, &random_),
                                    Draw({kRows, heads_.kv_heads, heads_.d}, dtype_, &random_)};
      for (int64_t row = 0; row < kRows; ++row) static_.Feed(row, row);
      static_.Upload();
      static_.Prepare();
      const at::Tensor found = static_.Attend(input, trunks_[1], &own_[1]);
      EXPECT_EQ(found.scalar_type(), dtype_);
      const at::Tensor expected = DecodeAttention(input, step_, trunks_[0], &own_[0]);
      largest = std::max(largest, Difference(found.to(at::kDouble), expected.to(at::kDouble)));
      for (int64_t& size : step_.own_size) ++size;
    }
    return largest;
  }

 private:
  static constexpr int64_t kRows = 9, kTrunk = 150;
  Heads heads_;
  at::ScalarType dtype_;
  int64_t steps_;
  RandomStream random_{5};
  StaticStep static_;
  DecodeStep step_;
  std::vector<KeyValueCache> trunks_, own_;  // [0]: for the kernel; [1]: for the static step
};

TEST(StaticStep, ManyShapes_MatchTheKernel) {
  for (const Heads& heads : {Heads{4, 2, 8}, Heads{2, 2, 64}, Heads{8, 1, 32}, Heads{3, 1, 80}}) {
    EXPECT_LT(BothAttentions(heads, at::kDouble, 4).LargestDifference(), 1e-13) << heads.d;
    EXPECT_LT(BothAttentions(heads, at::kFloat, 4).LargestDifference(), 1e-5) << heads.d;
  }
  EXPECT_LT(BothAttentions({2, 1, 16}, at::kDouble, 66).LargestDifference(), 1e-13);
}

// Weights are rounded to 8 bits before they multiply the values, outputs after.
TEST(StaticStep, Bfloat16_MatchesTheKernelToTwoRoundings) {
  EXPECT_LT(BothAttentions({4, 2, 64}, at::kBFloat16, 4).LargestDifference(), 2 * 0x1p-8);
}

TEST(StaticStep, Positions_FollowTrunkAndTokens) {
  StaticStep step({.rows = 3, .places = 2, .group = 2, .trunk_tokens = 9, .own_tokens = 4},
                  at::kCPU);
  step.SetTrunk(0, 5), step.SetTrunk(1, 9);
  step.Begin(0, 1), step.Begin(2, 0);
  step.Feed(0, 7), step.Feed(2, 8), step.Feed(0, 6);
  step.Upload();
  EXPECT_EQ(step.tokens()[0].item<int64_t>(), 6);
  EXPECT_EQ(step.positions()[0].item<int64_t>(), 10);
  EXPECT_EQ(step.tokens()[2].item<int64_t>(), 8);
  EXPECT_EQ(step.positions()[2].item<int64_t>(), 5);
}

}  // namespace
}  // namespace flame
