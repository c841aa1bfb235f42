#include "model/kernels/decode_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "tests/model/kernels/draw.h"

namespace flame {
namespace {

struct Sizes {
  int64_t heads, kv_heads, d;
};

// Decodes some steps over trunks of several lengths, with one to six rows each in mixed order.
struct Attended {
  Attended(const Sizes& sizes, at::ScalarType dtype) : sizes(sizes), dtype(dtype) {
    for (const int64_t size : {1, 64, 150}) {
      trunk_k.push_back(Draw({size, sizes.kv_heads, sizes.d}, dtype, &random));
      trunk_v.push_back(Draw({size, sizes.kv_heads, sizes.d}, dtype, &random));
    }
    for (const int64_t place : {2, 1, 1, 0, 2, 1, 1, 1, 1}) {
      step.slots.push_back(static_cast<int64_t>(place_of_row.size()));
      step.own_size.push_back(0);
      place_of_row.push_back(place);
    }
    std::reverse(step.slots.begin(), step.slots.end());
    for (int64_t p = 0; p < 3; ++p) {
      DecodeGroup group = {p, trunk_k[p].size(0), {}};
      for (size_t r = 0; r < place_of_row.size(); ++r) {
        if (place_of_row[r] == p) group.rows.push_back(static_cast<int64_t>(r));
      }
      step.groups.push_back(group);
    }
    own_k.resize(place_of_row.size()), own_v.resize(place_of_row.size());
  }

  // Returns the largest difference over `steps` steps from the dense computation in double
  // precision.
  double LargestDifference(int64_t steps) {
    KeyValueCache trunks(3, sizes.kv_heads, 150, sizes.d, at::TensorOptions(dtype));
    const auto rows = static_cast<int64_t>(place_of_row.size());
    KeyValueCache own(rows, sizes.kv_heads, steps, sizes.d, at::TensorOptions(dtype));
    // Numbers of no token may be anything.
    for (at::Tensor x : {trunks.keys, trunks.values, own.keys, own.values}) x.fill_(NAN);
    for (int64_t p = 0; p < 3; ++p) trunks.Fill(p, trunk_k[p], trunk_v[p]);
    double largest = 0;
    for (int64_t t = 0; t < steps; ++t) {
      const AttentionInput input = {Draw({rows, sizes.heads, sizes.d}, dtype, &random),
                                    Draw({rows, sizes.kv_heads, sizes.d}, dtype, &random),
                                    Draw({rows, sizes.kv_heads, sizes.d}, dtype, &random)};
      const at::Tensor out = DecodeAttention(input, step, trunks, &own).to(at::kDouble);
      for (int64_t r = 0; r < rows; ++r) {
        own_k[r].push_back(input.key.narrow(0, r, 1)),
            own_v[r].push_back(input.value.narrow(0, r, 1));
        const double difference = (out[r] - Dense(input.query[r], r)).abs().max().item<double>();
        largest = std::max(largest, std::isnan(difference) ? INFINITY : difference);
        ++step.own_size[r];
      }
    }
    return largest;
  }

  // Returns [heads, D] in double.
  at::Tensor Dense(const at::Tensor& query, int64_t row) const {
    std::vector<at::Tensor> k = {trunk_k[place_of_row[row]]}, v = {trunk_v[place_of_row[row]]};
    k.insert(k.end(), own_k[row].begin(), own_k[row].end());
    v.insert(v.end(), own_v[row].begin(), own_v[row].end());
    const at::Tensor keys = at::cat(k).to(at::kDouble), values = at::cat(v).to(at::kDouble);
    const at::Tensor out = at::empty({sizes.heads, sizes.d}, at::kDouble);
    for (int64_t h = 0; h < sizes.heads; ++h) {
      const int64_t kv = h / (sizes.heads / sizes.kv_heads);
      const at::Tensor scores = at::matmul(keys.select(1, kv), query[h].to(at::kDouble)) /
                                std::sqrt(static_cast<double>(sizes.d));
      out[h].copy_(at::matmul(at::softmax(scores, 0), values.select(1, kv)));
    }
    return out;
  }

  Sizes sizes;
  at::ScalarType dtype;
  RandomStream random{5};
  std::vector<at::Tensor> trunk_k, trunk_v;
  std::vector<int64_t> place_of_row;
  std::vector<std::vector<at::Tensor>> own_k, own_v;
  DecodeStep step;
};

TEST(DecodeAttention, ManyShapes_MatchDense) {
  for (const Sizes& sizes : {Sizes{4, 2, 8}, Sizes{2, 2, 64}, Sizes{8, 1, 32}, Sizes{3, 1, 80}}) {
    EXPECT_LT(Attended(sizes, at::kDouble).LargestDifference(3), 1e-13) << sizes.d;
    EXPECT_LT(Attended(sizes, at::kFloat).LargestDifference(3), 2e-5) << sizes.d;
  }
}

TEST(DecodeAttention, SecondBlockOfOwnTokens_MatchesDense) {
  EXPECT_LT(Attended({2, 1, 16}, at::kDouble).LargestDifference(66), 1e-13);
}

// Inputs and output are rounded to 8 bits; values reach about 8.
TEST(DecodeAttention, Bfloat16_SumsInFloat32) {
  EXPECT_LT(Attended({4, 2, 64}, at::kBFloat16).LargestDifference(3), 8 * 0x1p-8);
}

}  // namespace
}  // namespace flame
