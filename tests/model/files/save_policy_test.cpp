// Tests the forms in which a policy is saved: files of a size, types of numbers, borrowed slots.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/files/policy_files.h"
#include "tests/model/files/policy_folder.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

TEST_F(PolicyFolder, ManyBytes_CutIntoFilesWithAnIndex) {
  const Policy policy = TestPolicy(at::kFloat, /*tie=*/false);
  SavePolicy(policy, folder_, {std::nullopt, /*shard_bytes=*/20000});
  EXPECT_FALSE(std::filesystem::exists(folder_ / "model.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(folder_ / "model.safetensors.index.json"));
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_LT(entry.file_size(), 24000u) << entry.path();
  }
  ExpectSameParameters(policy, LoadPolicy(folder_, at::kFloat));
}

TEST_F(PolicyFolder, OtherDtype_RoundedOnce) {
  Policy policy = FullPolicy();
  SavePolicy(policy, folder_ / "whole");
  for (const at::ScalarType dtype : {at::kBFloat16, at::kHalf}) {
    const std::string name = dtype == at::kHalf ? "half" : "bfloat";
    Policy opened = OpenPolicy(folder_ / "whole", at::kFloat);
    opened.MergeAdapters();
    SavePolicy(opened.MaterializeEntities(), folder_ / name, {dtype});
    Policy merged = policy;
    merged.MergeAdapters();
    const Policy expected = merged.MaterializeEntities(),
                 found = LoadPolicy(folder_ / name, at::kFloat);
    for (const auto& [key, tensor] : expected.parameters()) {
      EXPECT_TRUE(at::equal(found.parameters().at(key), tensor.to(dtype).to(at::kFloat))) << key;
    }
  }
}

TEST_F(PolicyFolder, BorrowedSlots_StoredWithoutTheirVectors) {
  Policy policy = FullPolicy();
  policy.AddEntities({{"visit", 60, at::ones({7, 4}, at::kDouble), 3, /*borrowed=*/true}}, 3);
  SavePolicy(policy, folder_);
  Policy loaded = LoadPolicy(folder_, at::kFloat);
  ExpectSameParameters(policy, loaded);
  ASSERT_EQ(loaded.entities().size(), 3u);
  EXPECT_TRUE(loaded.entities()[2].borrowed);
  EXPECT_EQ(loaded.entities()[2].collab.sizes(), at::IntArrayRef({0, 4}));
  loaded.SetCollab("visit", at::ones({7, 4}, at::kFloat));
  const FamilyBatch batch = PackFamilies({{{1, 66, 5}, {}}});
  EXPECT_TRUE(at::equal(loaded.Hidden(batch, {}), policy.Hidden(batch, {})));
}

}  // namespace
}  // namespace flame
