#include "launch/batch/batch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Config Load(std::vector<std::string> overrides) {
  overrides.push_back("data.hospital=synth");
  return LoadConfig("", overrides);
}

std::string Write(const Config& config, const BatchRequest& request) {
  return BatchFile(config, request, LayOut(config, request), "/opt/flame", "/runs/mine",
                   "/home/me");
}

TEST(BatchLayouts, RewardRanks_RunBesideTheGpuRanksFromTheLastNodeBackwards) {
  const Config config = Load({"cluster.learners=3", "cluster.rollouts=1", "cluster.rewards=3"});
  const BatchLayout layout = LayOut(config, {"grpo", 2, 2, "30"});
  EXPECT_EQ(layout.gpu_ranks, 4);
  EXPECT_THAT(layout.node_of_rank, ElementsAre(0, 0, 1, 1, 1, 0, 1));
}

TEST(BatchLayouts, NoCounts_HalfLearnsAndOneMoreScores) {
  const BatchLayout layout = LayOut(Load({}), {"grpo", 1, 4, "30"});
  EXPECT_EQ(layout.learners, 2);
  EXPECT_EQ(layout.rollouts, 2);
  EXPECT_EQ(layout.rewards, 1);
}

TEST(BatchLayouts, ColocatedSftOrOneRank_HaveNoRoles) {
  for (const BatchRequest& request :
       {BatchRequest{"classifier", 2, 2, "30"}, {"grpo", 1, 1, "30"}}) {
    EXPECT_EQ(LayOut(Load({}), request).rewards, 0);
  }
  const BatchLayout layout = LayOut(Load({"cluster.placement=colocated"}), {"grpo", 2, 1, "30"});
  EXPECT_THAT(layout.node_of_rank, ElementsAre(0, 1));
}

TEST(BatchLayouts, CountsThatDoNotFillTheGpus_AreRefused) {
  const Config config = Load({"cluster.learners=2", "cluster.rollouts=1", "cluster.rewards=1"});
  EXPECT_THROW(LayOut(config, {"grpo", 1, 4, "30"}), UsageError);
  EXPECT_NO_THROW(LayOut(config, {"grpo", 1, 3, "30"}));
  EXPECT_THROW(LayOut(Load({"cluster.learners=4"}), {"grpo", 1, 4, "30"}), UsageError);
}

TEST(BatchFiles, Grpo_AsksForNodesAndStartsItsRoles) {
  const Config config = Load({"cluster.learners=2", "cluster.rollouts=2", "cluster.rewards=1",
                              "model.device=cuda", "run.threads=6"});
  const std::string text = Write(config, {"grpo", 2, 2, "2-00:00:00"});
  for (const char* line :
       {"#SBATCH --nodes=2\n", "#SBATCH --ntasks-per-node=3\n", "#SBATCH --cpus-per-task=6\n",
        "#SBATCH --gpus-per-node=2\n", "#SBATCH --time=2-00:00:00\n",
        "#SBATCH --output=/runs/mine/launch/job-%j.log\n", "node_of_rank=(0 0 1 1 1)\n",
        "\nstep 5 grpo cluster.learners=2 cluster.rollouts=2 cluster.rewards=1\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(BatchFiles, Pipeline_RunsEveryStageInOrder) {
  const std::string text = Write(Load({}), {"pipeline", 2, 1, "30"});
  EXPECT_THAT(text,
              HasSubstr("\nstep 1 prepare\nstep 2 encode\nstep 2 sft classifier\nstep 1 tasks\n"
                        "step 2 sft list\nstep 3 grpo cluster.learners=1 "
                        "cluster.rollouts=1 cluster.rewards=1\nstep 1 evaluate\n"));
  EXPECT_THAT(text, Not(HasSubstr("gpus")));
}

TEST(BatchFiles, TimesAndPathsThatSlurmWouldMisread_AreRefused) {
  const Config config = Load({});
  for (const char* time : {"", "soon", "12h", "30; rm x", "1:2"}) {
    EXPECT_THROW(Write(config, {"grpo", 1, 1, time}), UsageError) << time;
  }
  const BatchRequest request{"grpo", 1, 1, "12:00:00"};
  const BatchLayout layout = LayOut(config, request);
  for (const char* path : {"/runs/my run", "/runs/$x", "/runs/50%j", "/runs/a\nb"}) {
    EXPECT_THROW(BatchFile(config, request, layout, "/opt/flame", path, "/home/me"), UsageError);
  }
}

TEST(BatchFiles, TimeTooShortToSaveIn_IsRefused) {
  const Config config = Load({});
  for (const char* time : {"0", "10", "10:00", "00:10:00", "0-01", "0-00:10", "2-00:00:00"}) {
    EXPECT_NO_THROW(Write(config, {"grpo", 1, 1, time})) << time;
  }
  for (const char* time : {"9", "09:59", "00:09:59", "0-00:09"}) {
    EXPECT_THROW(Write(config, {"grpo", 1, 1, time}), UsageError) << time;
  }
}

TEST(BatchFiles, EveryCommand_PassesShellcheck) {
  if (std::system("shellcheck --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "shellcheck is missing: scripts/setup --tests installs it";
  }
  for (const std::string& command : LaunchCommands()) {
    const std::filesystem::path path = testing::TempDir() + "batch-" + command + ".sbatch";
    WriteFileAtomically(path, Write(Load({}), {command, 2, 2, "30"}));
    EXPECT_EQ(std::system(("shellcheck " + path.string()).c_str()), 0);
  }
}

}  // namespace
}  // namespace flame
