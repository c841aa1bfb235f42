#include "launch/run/stage.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

void RunStage(const Stage& stage) {
  if (!BeginStage(stage)) return;
  stage.make("");
  FinishStage(stage, {});
}

class StageTest : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = fs::temp_directory_path() / ("stage_test_" + std::to_string(getpid()));
    fs::remove_all(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  Stage Make(const std::string& inputs, const std::string& text) {
    Stage stage;
    stage.name = "cook";
    stage.run_dir = dir_;
    stage.settings = stage.inputs = inputs;
    stage.outputs = {"cook/dish", "menu"};
    stage.make = [this, text](const std::string&) {
      ++times_made_;
      WriteFileAtomically(dir_ / "cook" / "dish", text);
      WriteFileAtomically(dir_ / "menu", text);
    };
    return stage;
  }

  fs::path dir_;
  int times_made_ = 0;
};

TEST_F(StageTest, SameInputs_MadeOnce) {
  RunStage(Make("eggs", "omelette"));
  RunStage(Make("eggs", "omelette"));
  EXPECT_EQ(times_made_, 1);
}

TEST_F(StageTest, SharedWithAnotherRun_SkippedThereAndLinked) {
  Stage stage = Make("eggs", "omelette");
  RunStage(stage);
  stage.run_dir = dir_ / "other";
  ShareStages(dir_, stage.run_dir);
  RunStage(stage);
  EXPECT_EQ(times_made_, 1);
  EXPECT_TRUE(fs::equivalent(dir_ / "cook" / "dish", dir_ / "other" / "cook" / "dish"));
  EXPECT_EQ(OutputDigest(stage.run_dir, "cook"), OutputDigest(dir_, "cook"));
}

TEST_F(StageTest, OutputGone_NotShared) {
  RunStage(Make("eggs", "omelette"));
  fs::remove(dir_ / "menu");
  EXPECT_THROW(ShareStages(dir_, dir_ / "other"), DataError);
}

TEST_F(StageTest, OtherInputs_MadeAgainAndTheOldKeptAside) {
  RunStage(Make("eggs", "omelette"));
  const std::string digest = OutputDigest(dir_, "cook");
  RunStage(Make("flour", "bread"));
  EXPECT_EQ(times_made_, 2);
  EXPECT_EQ(ReadWholeFile(dir_ / "cook" / "dish"), "bread");
  EXPECT_NE(OutputDigest(dir_, "cook"), digest);
  int aside = 0;
  for (const auto& entry : fs::directory_iterator(dir_)) {
    const std::string name = entry.path().filename();
    if (name.rfind("cook.stale-", 0) == 0) {
      ++aside;
      EXPECT_EQ(ReadWholeFile(entry.path() / "dish"), "omelette");
      EXPECT_EQ(ReadWholeFile(entry.path() / "menu"), "omelette");
    }
  }
  EXPECT_EQ(aside, 1);
}

TEST_F(StageTest, CheckFails_NothingEarlierIsTouched) {
  RunStage(Make("eggs", "omelette"));
  const std::string digest = OutputDigest(dir_, "cook");
  Stage other = Make("flour", "bread");
  other.check = [] { throw UsageError("no flour"); };
  EXPECT_THROW(RunStage(other), UsageError);
  EXPECT_EQ(OutputDigest(dir_, "cook"), digest);
}

TEST_F(StageTest, OtherSettings_AreFound) {
  CheckSettings(dir_, "cook", "eggs");  // nothing made yet
  RunStage(Make("eggs", "omelette"));
  CheckSettings(dir_, "cook", "eggs");
  EXPECT_THROW(CheckSettings(dir_, "cook", "flour"), DataError);
}

TEST_F(StageTest, MissingOrCutOutput_MadeAgain) {
  RunStage(Make("eggs", "omelette"));
  fs::resize_file(dir_ / "cook" / "dish", 3);
  EXPECT_THROW(OutputDigest(dir_, "cook"), DataError);
  RunStage(Make("eggs", "omelette"));
  fs::remove(dir_ / "cook" / "dish");
  RunStage(Make("eggs", "omelette"));
  EXPECT_EQ(times_made_, 3);
}

TEST_F(StageTest, FailedMaking_LeavesNoRecordButKeepsTheFolder) {
  Stage stage = Make("eggs", "omelette");
  stage.make = [this](const std::string&) {
    WriteFileAtomically(dir_ / "cook" / "half", "half");
    throw MachineError("the stove is out");
  };
  EXPECT_THROW(RunStage(stage), MachineError);
  EXPECT_TRUE(BeginStage(stage));
  RunStage(Make("eggs", "omelette"));
  EXPECT_TRUE(fs::exists(dir_ / "cook" / "half"));
}

TEST_F(StageTest, StageWithoutOutput_IsAnError) {
  Stage stage = Make("eggs", "omelette");
  stage.make = [](const std::string&) {};
  EXPECT_THROW(RunStage(stage), MachineError);
  EXPECT_TRUE(BeginStage(stage));
}

TEST_F(StageTest, NeverMade_DigestNamesTheStage) {
  try {
    OutputDigest(dir_, "cook");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("stage cook"), std::string::npos);
  }
}

}  // namespace
}  // namespace flame
