#include "trainer/checkpoint/checkpoint.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/files/checksum.h"
#include "comm/local_communicator.h"
#include "tests/trainer/toy.h"
#include "trainer/optimizer/adamw.h"

namespace flame {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kConfig = Sha256("config");

NamedTensors Example() {
  return {{"parameter.a", at::arange(6, at::kFloat).view({2, 3})},
          {"history", at::arange(4, at::kDouble)}};
}

// Returns whole tensors as slices.
std::vector<CheckpointSlice> Slices(const NamedTensors& tensors) {
  std::vector<CheckpointSlice> slices;
  for (const auto& [name, tensor] : tensors) {
    slices.push_back({name, tensor.sizes().vec(), 0, tensor.flatten()});
  }
  return slices;
}

// Returns the r-th of `count` slices of each tensor.
std::vector<CheckpointSlice> Cut(const NamedTensors& tensors, int64_t r, int64_t count) {
  std::vector<CheckpointSlice> slices = Slices(tensors);
  for (CheckpointSlice& slice : slices) {
    const int64_t begin = slice.data.numel() * r / count;
    slice.data = slice.data.narrow(0, begin, slice.data.numel() * (r + 1) / count - begin);
    slice.offset = begin;
  }
  return slices;
}

void Save(const fs::path& folder, const CheckpointInfo& info, CheckpointRetention retention = {}) {
  CheckpointWriter writer(folder, retention, nullptr);
  writer.Begin(info, Slices(Example()));
  writer.Publish();
}

std::optional<CheckpointInfo> Load(const fs::path& folder, const std::string& config,
                                   const NamedTensors& into) {
  return LoadLatestCheckpoint(folder, config, "a=1\nb=3\n", Slices(into));
}

NamedTensors Blank() {
  NamedTensors blank = Example();
  for (auto& [name, tensor] : blank) tensor = at::zeros_like(tensor);
  return blank;
}

fs::path SavedRun(int64_t step = 7) {
  const fs::path folder = FreshFolder();
  Save(folder, {step, kConfig, "a=1\nb=2\n", 1, 0.5, {{"optimizer_updates", 14}}});
  return folder;
}

std::string FailureOf(const fs::path& folder, const std::string& config, const NamedTensors& into) {
  try {
    Load(folder, config, into);
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
  const auto info = Load(folder, kConfig, tensors);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->step, 7);
  EXPECT_EQ(info->numbers.at("optimizer_updates"), 14);
  for (const auto& [name, tensor] : Example()) EXPECT_TRUE(tensor.equal(tensors.at(name))) << name;
}

TEST(Checkpoint, NothingSaved_LoadsNothing) {
  EXPECT_FALSE(Load(FreshFolder(), kConfig, Blank()).has_value());
}

TEST(Checkpoint, ManySaved_KeepsTheTwoNewest) {
  const fs::path folder = FreshFolder();
  for (const int64_t step : {2, 4, 10}) {
    Save(folder, {step, kConfig, "", 1, 0, {}});
  }
  EXPECT_FALSE(fs::exists(folder / "checkpoints/step-000002"));
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-000004"));
  EXPECT_EQ(Load(folder, kConfig, Blank())->step, 10);
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

// LATEST holds the digest of the newest manifest only; older manifests hold their own digest.
TEST(Checkpoint, EditedManifestOfAnOlderStep_IsNotWhole) {
  const fs::path folder = FreshFolder();
  for (const int64_t step : {2, 4}) Save(folder, {step, kConfig, "", 1, 0, {}});
  EXPECT_TRUE(DescribeCheckpoints(folder).at("checkpoints")[1].at("fault").is_null());
  const fs::path path = folder / "checkpoints/step-000002/manifest.json";
  nlohmann::json manifest = nlohmann::json::parse(ReadWholeFile(path));
  manifest["value"] = -99;
  std::ofstream(path) << manifest;
  EXPECT_THAT(DescribeCheckpoints(folder).at("checkpoints")[1].at("fault").get<std::string>(),
              HasSubstr("manifest.json: damaged"));
}

TEST(Checkpoint, DamagedLatest_DoesNotHideTheOthers) {
  const fs::path folder = SavedRun(7);
  std::ofstream(folder / "checkpoints/LATEST") << "step-000007\n";
  const auto report = DescribeCheckpoints(folder);
  EXPECT_TRUE(report.at("checkpoints")[0].at("fault").is_null());
  EXPECT_THAT(report.at("latest_fault").get<std::string>(), HasSubstr("LATEST"));
}

TEST(Checkpoint, WhatAKilledProcessLeft_StopsNoLaterSave) {
  const fs::path folder = FreshFolder();
  for (const char* name :
       {"step-000001", ".step-000001.removed", ".step-000002.tmp-host-1-1", "step-000003-mine"}) {
    fs::create_directories(folder / "checkpoints" / name);
  }
  CheckpointRetention retention;
  retention.last = 1;
  retention.best = 1;
  CheckpointWriter writer(folder, retention, nullptr);
  for (const int64_t step : {5, 6}) {
    writer.Begin({step, kConfig, "", 1, static_cast<double>(step), {}}, Cut(Example(), 0, 1));
    writer.Publish();
  }
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder / "checkpoints")) {
    left.insert(entry.path().filename());
  }
  EXPECT_EQ(left,
            (std::set<std::string>{"LATEST", "step-000003-mine", "step-000005", "step-000006"}));
}

TEST(Checkpoint, DamagedLatest_IsNotSkipped) {
  const fs::path folder = SavedRun(7);
  std::ofstream(folder / "checkpoints/LATEST") << "step-000007\n";
  EXPECT_THAT(FailureOf(folder, kConfig, Blank()), HasSubstr("LATEST"));
}

TEST(Checkpoint, OtherConfig_IsRefusedNamingTheKeys) {
  const std::string failure = FailureOf(SavedRun(), Sha256("other config"), Blank());
  EXPECT_THAT(failure, HasSubstr("made with other settings: b was 2, is 3."));
}

TEST(Checkpoint, CutsOfManyRanks_AreCutAnew) {
  const fs::path folder = FreshFolder();
  auto group = MakeLocalGroup(3);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      CheckpointWriter writer(folder, {}, group[rank].get());
      writer.Begin({4, kConfig, "", 3, 0, {}}, Cut(Example(), rank, 3));
      writer.Publish();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-000004/rank-0002.safetensors"));
  for (const int64_t ranks : {1, 2, 5}) {
    const NamedTensors tensors = Blank();
    for (int64_t rank = 0; rank < ranks; ++rank) {
      LoadLatestCheckpoint(folder, kConfig, "", Cut(tensors, rank, ranks));
    }
    for (const auto& [name, tensor] : Example()) {
      EXPECT_TRUE(tensor.equal(tensors.at(name))) << name << " on " << ranks;
    }
  }
}

TEST(Checkpoint, MissingSlice_IsCounted) {
  const fs::path folder = FreshFolder();
  CheckpointWriter writer(folder, {}, nullptr);
  writer.Begin({4, kConfig, "", 3, 0, {}}, Cut(Example(), 0, 3));
  writer.Publish();
  EXPECT_THAT(FailureOf(folder, kConfig, Blank()), HasSubstr("its slices hold 1 of 4 elements"));
}

TEST(Checkpoint, KeepBest_KeepsTheLowestValue) {
  const fs::path folder = FreshFolder();
  for (const auto& [step, value] : std::map<int64_t, double>{{1, 5}, {2, 3}, {3, 4}, {4, 6}}) {
    Save(folder, {step, kConfig, "", 1, value, {}}, {.last = 1, .best = 1});
  }
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-000002"));
  EXPECT_FALSE(fs::exists(folder / "checkpoints/step-000003"));
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-000004"));
}

TEST(Checkpoint, FailedDisk_NamesTheRankAndLeavesLatest) {
  const fs::path folder = SavedRun(3);
  CheckpointWriter writer(folder, {}, nullptr);
  writer.Begin({4, kConfig, "", 1, 0, {}}, Slices(Example()));
  while (!writer.written()) std::this_thread::yield();
  for (const auto& entry : fs::directory_iterator(folder / "checkpoints")) {
    if (entry.path().filename().string().starts_with(".")) fs::remove_all(entry.path());
  }
  EXPECT_THROW(writer.Publish(), MachineError);
  EXPECT_EQ(LoadLatestCheckpoint(folder, kConfig, "", Slices(Blank()))->step, 3);
}

TEST(Checkpoint, Described_NamesTheDamagedOne) {
  const fs::path folder = SavedRun(7);
  Save(folder, {9, kConfig, "", 1, 0.25, {}});
  FlipByte(folder / "checkpoints/step-000009/rank-0000.safetensors", /*from_end=*/3);
  const auto report = DescribeCheckpoints(folder);
  EXPECT_EQ(report.at("latest"), "step-000009");
  ASSERT_EQ(report.at("checkpoints").size(), 2u);
  EXPECT_THAT(report.at("checkpoints")[0].at("fault").get<std::string>(), HasSubstr("damaged"));
  EXPECT_EQ(report.at("checkpoints")[1].at("fault"), nullptr);
  EXPECT_EQ(report.at("checkpoints")[1].at("tensors"), 2);
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
