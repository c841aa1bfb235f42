#include "model/decoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

// Logits of the packed forward behind `length` tokens of every branch, [branches, V].
at::Tensor PackedLogits(const Policy& policy, const std::vector<Family>& families, int64_t length,
                        const ForwardOptions& options) {
  const at::NoGradGuard no_grad;
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor hidden = policy.Hidden(batch, options);
  std::vector<int64_t> rows;
  for (const FamilyLayout& family : batch.families) {
    for (const Span& branch : family.branches) {
      rows.push_back(length == 0 ? family.trunk.begin + family.trunk.size - 1
                                 : branch.begin + length - 1);
    }
  }
  return at::matmul(hidden.index_select(0, at::tensor(rows, at::kLong)),
                    policy.parameters().at("model.embed_tokens.weight").t())
      .to(at::kFloat);
}

// The `length`-th tokens of these branches.
at::Tensor TokensAt(const std::vector<Family>& families, int64_t length,
                    const std::vector<int64_t>& rows) {
  std::vector<int64_t> all, chosen;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) all.push_back(branch.tokens[length]);
  }
  for (const int64_t row : rows) chosen.push_back(all[row]);
  return at::tensor(chosen, at::kLong);
}

std::vector<std::vector<int32_t>> Trunks(const std::vector<Family>& families) {
  std::vector<std::vector<int32_t>> trunks;
  for (const Family& family : families) trunks.push_back(family.trunk);
  return trunks;
}

std::vector<Family> ThreeGroups() {
  // Nothing asked for, so that every token is packed.
  return {MakeFamily(7, {6, 6, 6}, 37, 1, 6), MakeFamily(1, {6, 6, 6}, 37, 2, 6),
          MakeFamily(12, {6, 6, 6}, 37, 3, 6)};
}

void ExpectDecoderMatchesPacked(const Policy& policy, bool adapters, double tolerance) {
  const auto families = ThreeGroups();
  ForwardOptions options;
  options.adapters = adapters;
  Decoder decoder(policy, adapters);
  const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  at::Tensor logits = decoder.Prefill(Trunks(families), 3, 6);
  for (int64_t length = 0;; ++length) {
    const at::Tensor expected = PackedLogits(policy, families, length, options);
    EXPECT_LT(Difference(logits, expected), tolerance) << "after " << length << " tokens";
    if (length == 6) break;
    logits = decoder.Step(TokensAt(families, length, rows));
  }
}

TEST(Decoder, EveryStep_MatchesPackedForward) {
  ExpectDecoderMatchesPacked(TestPolicy(at::kFloat), true, 1e-5);
  ExpectDecoderMatchesPacked(TestPolicy(at::kDouble), true, 1e-7);
}

TEST(Decoder, Adapters_AreUsedOrNot) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestAdapters(&policy);
  ExpectDecoderMatchesPacked(policy, true, 1e-7);
  ExpectDecoderMatchesPacked(policy, false, 1e-7);
}

TEST(Decoder, RowsThatLeave_DoNotChangeTheOthers) {
  const Policy policy = TestPolicy(at::kDouble);
  const auto families = ThreeGroups();
  Decoder decoder(policy, true);
  decoder.Prefill(Trunks(families), 3, 6);
  std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  // Groups become unequal, then the middle one is gone, then one row is left.
  const std::vector<std::vector<int64_t>> keeps = {{0, 1, 2, 4, 5, 6}, {0, 2, 5}, {0, 1, 2}, {2}};
  for (size_t step = 0; step < keeps.size(); ++step) {
    const auto length = static_cast<int64_t>(step);
    const at::Tensor logits = decoder.Step(TokensAt(families, length, rows));
    const at::Tensor expected = PackedLogits(policy, families, length + 1, {});
    EXPECT_LT(Difference(logits, expected.index_select(0, at::tensor(rows, at::kLong))), 1e-7);
    std::vector<int64_t> kept;
    for (const int64_t place : keeps[step]) kept.push_back(rows[place]);
    decoder.Keep(keeps[step]);
    rows = kept;
  }
  const at::Tensor last = decoder.Step(TokensAt(families, 4, rows));
  EXPECT_LT(Difference(last[0], PackedLogits(policy, families, 5, {})[rows[0]]), 1e-7);
}

TEST(Decoder, SecondPrefill_StartsAfresh) {
  const Policy policy = TestPolicy(at::kFloat);
  const auto trunks = Trunks(ThreeGroups());
  Decoder decoder(policy, true);
  const at::Tensor first = decoder.Prefill(trunks, 2, 4);
  decoder.Step(at::tensor({1, 2, 3, 4, 5, 6}, at::kLong));
  decoder.Keep({1, 4});
  EXPECT_TRUE(at::equal(decoder.Prefill(trunks, 2, 4), first));
}

TEST(Decoder, TooLong_IsRefused) {
  const Policy policy = TestPolicy(at::kFloat);  // 256 positions
  Decoder decoder(policy, true);
  EXPECT_THROW(decoder.Prefill({std::vector<int32_t>(250, 1)}, 2, 7), UsageError);
  decoder.Prefill({std::vector<int32_t>(250, 1)}, 2, 1);
  decoder.Step(at::tensor({1, 2}, at::kLong));
  EXPECT_THROW(decoder.Step(at::tensor({1, 2}, at::kLong)), UsageError);
}

}  // namespace
}  // namespace flame
