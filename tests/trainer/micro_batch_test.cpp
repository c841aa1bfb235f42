#include "trainer/micro_batch.h"

#include <gtest/gtest.h>

namespace flame {
namespace {

// Makes a family with a trunk of `trunk` tokens and branches of the given lengths.
Family Make(int32_t trunk, const std::vector<int32_t>& branches) {
  Family family;
  family.trunk.assign(trunk, 1);
  for (const int32_t length : branches) {
    family.branches.push_back({std::vector<int32_t>(length, 2), 0});
  }
  return family;
}

TEST(CutMicroBatches, FamiliesThatFit_ShareMicroBatchInOrder) {
  const auto batches = CutMicroBatches({Make(3, {1, 1}), Make(2, {2}), Make(4, {2})}, 10);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].families.size(), 2u);
  EXPECT_EQ(batches[0].num_tokens, 9);
  EXPECT_EQ(batches[1].num_tokens, 6);
  EXPECT_EQ(batches[0].branches[2].family, 1);
  EXPECT_EQ(batches[1].branches[0].family, 2);
}

TEST(CutMicroBatches, FamilyOverBudget_IsSplitByBranchesWithWholeTrunk) {
  const auto batches = CutMicroBatches({Make(3, {2, 2, 2, 1})}, 7);
  ASSERT_EQ(batches.size(), 2u);
  for (const MicroBatch& batch : batches) {
    ASSERT_EQ(batch.families.size(), 1u);
    EXPECT_EQ(batch.families[0].trunk.size(), 3u);
    EXPECT_LE(batch.num_tokens, 7);
    EXPECT_EQ(batch.num_tokens, batch.families[0].NumTokens());
  }
  EXPECT_EQ(batches[0].branches[1].branch, 1);
  EXPECT_EQ(batches[1].branches[0].branch, 2);
  EXPECT_EQ(batches[1].branches[1].branch, 3);
}

TEST(CutMicroBatches, BranchOverBudget_StandsAlone) {
  const auto batches = CutMicroBatches({Make(5, {9, 1})}, 6);
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_EQ(batches[0].num_tokens, 14);
  EXPECT_EQ(batches[1].num_tokens, 6);
}

TEST(CutMicroBatches, FamilyWithoutBranches_IsLeftOut) {
  const auto batches = CutMicroBatches({Make(5, {}), Make(1, {1})}, 100);
  ASSERT_EQ(batches.size(), 1u);
  ASSERT_EQ(batches[0].branches.size(), 1u);
  EXPECT_EQ(batches[0].branches[0].family, 1);
}

}  // namespace
}  // namespace flame
