#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "model/policy.h"

namespace flame {
namespace {

TEST(RandomPolicy, Keys_BeginAsTheFirstQueriesOfTheirGroup) {
  const PolicyConfig config = PolicyPreset("tiny", 300);
  ASSERT_EQ(config.num_heads, 2 * config.num_kv_heads);
  const Policy policy = Policy::Random(config, at::kFloat, 3);
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const auto heads = [&](const char* map) {
      return policy.parameters()
          .at(std::string(layer) + "self_attn." + map + "_proj.weight")
          .view({-1, config.head_dim, config.d_model});
    };
    for (int64_t h = 0; h < config.num_kv_heads; ++h) {
      EXPECT_TRUE(heads("k")[h].equal(heads("q")[2 * h]));
      EXPECT_FALSE(heads("k")[h].equal(heads("q")[2 * h + 1]));
    }
    EXPECT_FALSE(heads("v")[0].equal(heads("q")[0]));
    // Aligned maps are drawn at 0.7 of 1 / sqrt(d_model); 4,096 draws are within 5 % of that.
    const double share = heads("q")[0].std().item<double>() / heads("q")[1].std().item<double>();
    EXPECT_NEAR(share, 0.7, 0.05);
  }
}

}  // namespace
}  // namespace flame
