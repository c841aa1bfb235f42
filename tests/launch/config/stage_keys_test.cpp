#include "launch/config/stage_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "launch/config/config.h"
#include "launch/config/stage_inputs.h"

namespace flame {
namespace {

using ::testing::Contains;
using ::testing::Not;

bool ChangesNoResult(const std::string& key) {
  const auto& keys = KeysThatChangeNoResult();
  return std::any_of(keys.begin(), keys.end(), [&](const std::string& section) {
    return key == section || key.starts_with(section + ".");
  });
}

bool IsInputOfSomeStage(const std::string& key) {
  for (const std::string& stage : StageNames()) {
    const auto keys = ResultKeys(stage);
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) return true;
  }
  return false;
}

bool NamesFiles(const std::string& key) {
  const auto& keys = KeysOfInputFiles();
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

TEST(StageKeys, EveryConfigKey_IsInOneList) {
  for (const std::string& key : ConfigKeyNames()) {
    EXPECT_EQ(ChangesNoResult(key) + IsInputOfSomeStage(key) + NamesFiles(key), 1)
        << key << ": add it to the inputs of the stages that depend on it, to the keys that change "
        << "no result, or to those that name files (launch/config/stage_keys.cpp)";
  }
}

TEST(StageKeys, EveryEntryThatChangesNoResult_IsAKey) {
  const auto names = ConfigKeyNames();
  for (const std::string& entry : KeysThatChangeNoResult()) {
    EXPECT_TRUE(std::any_of(names.begin(), names.end(), [&](const std::string& key) {
      return key == entry || key.starts_with(entry + ".");
    })) << entry;
  }
}

TEST(StageKeys, EveryKeyThatNamesFiles_IsAKey) {
  EXPECT_THAT(ConfigKeyNames(), ::testing::IsSupersetOf(KeysOfInputFiles()));
}

TEST(StageKeys, SectionOfAStage_IsItsInput) {
  EXPECT_THAT(ResultKeys("grpo"), Contains("grpo.clip"));
  EXPECT_THAT(ResultKeys("grpo"), Not(Contains("classifier.batch")));
  EXPECT_THAT(ResultKeys("classifier"), Contains("model.lora.rank"));
}

TEST(StageSettings, MemoryAndPlacement_AreNoPartOfThem) {
  const Config given = LoadConfig("", {"data.hospital=synth"});
  const Config other = LoadConfig(
      "", {"data.hospital=synth", "classifier.token_budget=4096", "model.recompute=false",
           "list.checkpoint_every=7", "grpo.keep_shards=3", "run.threads=2", "run.dir=elsewhere",
           "cluster.carrier=mpi", "cluster.timeout=9", "model.path=./x", "prompts.file=y"});
  for (const std::string& stage : StageNames()) {
    EXPECT_EQ(StageSettings(given, stage), StageSettings(other, stage)) << stage;
  }
  EXPECT_NE(StageSettings(given, "grpo"),
            StageSettings(LoadConfig("", {"data.hospital=synth", "grpo.clip=0.3"}), "grpo"));
}

}  // namespace
}  // namespace flame
