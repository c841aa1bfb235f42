#include "model/family.h"

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace flame {
namespace {

using ::testing::ElementsAre;

std::vector<int64_t> Values(const at::Tensor& tensor) {
  const auto* data = tensor.const_data_ptr<int64_t>();
  return {data, data + tensor.numel()};
}

TEST(PackFamilies, TwoFamilies_ArePackedAsByHand) {
  // Asked-for last tokens (14, 15, 24) are targets only; 22 is not asked for, so it is packed.
  const FamilyBatch batch = PackFamilies(
      {{{10, 11}, {{{12, 13, 14}, 1}, {{15}, 0}}}, {{20}, {{{21, 22}, 2}, {{23, 24}, 0}}}});
  EXPECT_THAT(Values(batch.tokens), ElementsAre(10, 11, 12, 13, 20, 21, 22, 23));
  EXPECT_THAT(Values(batch.positions), ElementsAre(0, 1, 2, 3, 0, 1, 2, 1));
  EXPECT_THAT(Values(batch.targets), ElementsAre(13, 14, 15, 23, 24));
  EXPECT_THAT(Values(batch.asked_rows), ElementsAre(1, 2, 3, 4, 7));
  EXPECT_THAT(Values(batch.sources), ElementsAre(1, 2, 0, 3, 4));
  EXPECT_THAT(batch.target_offsets, ElementsAre(0, 2, 3, 3, 5));
  ASSERT_EQ(batch.families.size(), 2u);
  EXPECT_EQ(batch.families[0].branches[1].size, 0);
  EXPECT_EQ(batch.families[1].trunk.begin, 4);
  EXPECT_EQ(batch.families[1].trunk.size, 1);
  ASSERT_EQ(batch.families[1].branches.size(), 2u);
  EXPECT_EQ(batch.families[1].branches[1].begin, 7);
  EXPECT_EQ(batch.families[1].branches[1].size, 1);
  ASSERT_EQ(batch.asked.size(), 2u);
  EXPECT_EQ(batch.asked[0].trunk.size, 1);
  EXPECT_EQ(batch.asked[0].branches[0].begin, 1);
  EXPECT_EQ(batch.asked[0].branches[0].size, 2);
  EXPECT_EQ(batch.asked[1].trunk.begin, 3);
  EXPECT_EQ(batch.asked[1].branches[0].size, 0);
  EXPECT_EQ(batch.asked[1].branches[1].size, 1);
}

TEST(PackFamilies, NoFamilies_GiveEmptyTensors) {
  const FamilyBatch batch = PackFamilies({});
  EXPECT_EQ(batch.tokens.numel(), 0);
  EXPECT_THAT(batch.target_offsets, ElementsAre(0));
}

TEST(PackFamilies, BadFamily_IsNamed) {
  EXPECT_THROW(PackFamilies({{{}, {}}}), UsageError);
  EXPECT_THROW(PackFamilies({{{1}, {{{}, 0}}}}), UsageError);
  EXPECT_THROW(PackFamilies({{{1}, {{{1, 2}, 3}}}}), UsageError);
  try {
    PackFamilies({{{1}, {}}, {{1}, {{{1}, 0}, {{2}, -1}}}});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("family 1, branch 1"));
  }
}

TEST(Family, NumTokens_CountsTrunkAndBranches) {
  EXPECT_EQ((Family{{1, 2}, {{{3}, 0}, {{4, 5}, 0}}}.NumTokens()), 5);
}

}  // namespace
}  // namespace flame
