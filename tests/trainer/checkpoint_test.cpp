#include "trainer/checkpoint.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/checksum.h"
#include "base/error.h"
#include "tests/trainer/toy.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kConfig = Sha256("config");

NamedTensors Example() {
  return {{"parameter.a", at::arange(6, at::kFloat).view({2, 3})},
          {"history", at::arange(4, at::kDouble)}};
}

NamedTensors Blank() {
  NamedTensors blank = Example();
  for (auto& [name, tensor] : blank) tensor = at::zeros_like(tensor);
  return blank;
}

fs::path SavedRun(int64_t step = 7) {
  const fs::path folder = FreshFolder();
  SaveCheckpoint(folder, {step, kConfig, 1, {{"optimizer_updates", 14}}}, Example());
  return folder;
}

std::string FailureOf(const fs::path& folder, const std::string& config, const NamedTensors& into) {
  try {
    LoadLatestCheckpoint(folder, config, into);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no failure";
}

void FlipByte(const fs::path& path, int64_t from_end) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-from_end, std::ios::end);
  const char byte = static_cast<char>(file.peek() ^ 1);
  file.seekp(-from_end, std::ios::end);
  file.put(byte);
}

TEST(Checkpoint, Saved_LoadsBack) {
  const fs::path folder = SavedRun();
  const NamedTensors tensors = Blank();
  const auto info = LoadLatestCheckpoint(folder, kConfig, tensors);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->step, 7);
  EXPECT_EQ(info->numbers.at("optimizer_updates"), 14);
  for (const auto& [name, tensor] : Example()) EXPECT_TRUE(tensor.equal(tensors.at(name))) << name;
}

TEST(Checkpoint, NothingSaved_LoadsNothing) {
  EXPECT_FALSE(LoadLatestCheckpoint(FreshFolder(), kConfig, Blank()).has_value());
}

TEST(Checkpoint, ManySaved_KeepsTheTwoNewest) {
  const fs::path folder = FreshFolder();
  for (const int64_t step : {2, 4, 10}) {
    SaveCheckpoint(folder, {step, kConfig, 1, {}}, Example());
  }
  EXPECT_FALSE(fs::exists(folder / "checkpoints/step-000002"));
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-000004"));
  EXPECT_EQ(LoadLatestCheckpoint(folder, kConfig, Blank())->step, 10);
}

TEST(Checkpoint, MissingFile_IsNamed) {
  for (const std::string name : {"rank-0000.safetensors", "manifest.json"}) {
    const fs::path folder = SavedRun();
    fs::remove(folder / "checkpoints/step-000007" / name);
    EXPECT_THAT(FailureOf(folder, kConfig, Blank()), HasSubstr(name + ": missing"));
  }
}

TEST(Checkpoint, FlippedByte_IsFoundAndNothingIsCopied) {
  for (const std::string name : {"rank-0000.safetensors", "manifest.json"}) {
    const fs::path folder = SavedRun();
    FlipByte(folder / "checkpoints/step-000007" / name, /*from_end=*/3);
    const NamedTensors tensors = Blank();
    EXPECT_THAT(FailureOf(folder, kConfig, tensors), HasSubstr(name + ": damaged"));
    EXPECT_EQ(tensors.at("history").sum().item<double>(), 0);
  }
}

TEST(Checkpoint, DamagedLatest_IsNotSkipped) {
  const fs::path folder = SavedRun(7);
  std::ofstream(folder / "checkpoints/LATEST") << "step-000007\n";
  EXPECT_THAT(FailureOf(folder, kConfig, Blank()), HasSubstr("LATEST"));
}

TEST(Checkpoint, OtherConfig_IsRefusedNamingBoth) {
  const std::string other = Sha256("other config");
  const std::string failure = FailureOf(SavedRun(), other, Blank());
  EXPECT_THAT(failure, HasSubstr(kConfig));
  EXPECT_THAT(failure, HasSubstr(other));
}

TEST(Checkpoint, OtherShape_IsRefused) {
  NamedTensors tensors = Blank();
  tensors["parameter.a"] = at::zeros({3, 2}, at::kFloat);
  EXPECT_THAT(FailureOf(SavedRun(), kConfig, tensors),
              HasSubstr("'parameter.a': expected F32 [3,2], found F32 [2,3]"));
}

TEST(Checkpoint, OtherDtype_IsRefused) {
  NamedTensors tensors = Blank();
  tensors["history"] = at::zeros({4}, at::kFloat);
  EXPECT_THAT(FailureOf(SavedRun(), kConfig, tensors), HasSubstr("expected F32 [4], found F64"));
}

TEST(Checkpoint, OtherNames_AreRefused) {
  NamedTensors more = Blank();
  more["parameter.b"] = at::zeros({1}, at::kFloat);
  EXPECT_THAT(FailureOf(SavedRun(), kConfig, more), HasSubstr("'parameter.b'"));
  NamedTensors fewer = Blank();
  fewer.erase("history");
  EXPECT_THAT(FailureOf(SavedRun(), kConfig, fewer), HasSubstr("'history'"));
}

}  // namespace
}  // namespace flame
