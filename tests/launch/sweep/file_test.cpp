#include "launch/sweep/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/sweep/trials.h"
#include "tests/base/temporary_folder.h"

namespace flame {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class SweepFileTest : public testing::Test {
 protected:
  SweepFileTest() {
    WriteFileAtomically(folder_ / "base.yaml", "run: {seed: 4}\ndata: {hospital: synth}\n");
  }

  // Reads a sweep file over the base config that has `lines` from line 3 on.
  SweepFile Read(const std::string& lines) {
    const auto file = folder_ / "sweep.yaml";
    WriteFileAtomically(file, "base: " + (folder_ / "base.yaml").string() +
                                  "\ndir: " + (folder_ / "out").string() + "\n" + lines);
    return ReadSweepFile(file);
  }

  std::string FaultOf(const std::string& lines) {
    try {
      ExpandSweep(Read(lines));
    } catch (const UsageError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

TEST_F(SweepFileTest, Grid_EveryCombinationTheLastKeyFastest) {
  const auto trials = ExpandSweep(
      Read("grid: {reward.alpha: [0, 5], credit: {lambda: [0.25, 1]}}\nseeds: [1, 2]\n"));
  ASSERT_EQ(trials.size(), 8u);
  EXPECT_THAT(trials[0].settings,
              ElementsAre(Pair("reward.alpha", "0"), Pair("credit.lambda", "0.25")));
  EXPECT_THAT(trials[3].settings,
              ElementsAre(Pair("reward.alpha", "0"), Pair("credit.lambda", "1")));
  EXPECT_EQ(trials[3].seed, 2);
  EXPECT_EQ(trials[3].config.run.seed, 2);
  EXPECT_EQ(trials[4].config.reward.alpha, 5);
  EXPECT_EQ(trials[4].config.run.dir, folder_ / "out" / "trials" / trials[4].id);
}

TEST_F(SweepFileTest, NoSeeds_TheBaseConfigs) {
  const auto trials = ExpandSweep(Read("grid: {reward.alpha: [0, 5]}\n"));
  ASSERT_EQ(trials.size(), 2u);
  EXPECT_EQ(trials[0].seed, 4);
}

TEST_F(SweepFileTest, ListedPoints_ThoseAlreadyInTheGridAreNotRepeated) {
  const auto trials =
      ExpandSweep(Read("grid: {reward.alpha: [0, 5]}\nlist:\n  same: {reward.alpha: 5}\n"
                       "  split: {data.split: [8, 1, 1], reward.alpha: 5}\n"));
  ASSERT_EQ(trials.size(), 3u);
  EXPECT_THAT(trials[2].config.data.split, ElementsAre(8, 1, 1));
}

TEST_F(SweepFileTest, OneValueInTheGrid_HoldsForAllPointsThatDoNotSayOtherwise) {
  const auto trials =
      ExpandSweep(Read("grid: {evaluate.samples: [3], reward.alpha: [0, 5]}\nlist:\n"
                       "  kl: {grpo.kl: 0.1}\n  other: {evaluate.samples: 2}\n"
                       "random: {trials: 1, keys: {grpo.kl: {uniform: [0.2, 0.3]}}}\n"));
  ASSERT_EQ(trials.size(), 5u);
  for (const int i : {0, 1, 2, 4}) EXPECT_EQ(trials[i].config.evaluate.samples, 3) << i;
  EXPECT_EQ(trials[3].config.evaluate.samples, 2);
  // A grid of single values makes no point of its own if there are other points.
  EXPECT_EQ(ExpandSweep(Read("grid: {evaluate.split: [validation]}\nlist:\n"
                             "  kl: {grpo.kl: 0.1}\n"))
                .size(),
            1u);
  EXPECT_EQ(ExpandSweep(Read("grid: {evaluate.split: [validation]}\n")).size(), 1u);
}

TEST_F(SweepFileTest, KeyThatSomePointsLeaveAtItsDefault_IsSpelledOutInAll) {
  const auto trials =
      ExpandSweep(Read("grid: {reward.alpha: [0.0, 5]}\nlist:\n  named: {credit.lambda: 0.250}\n"
                       "  text: {tasks.errors: holdout}\n"));
  ASSERT_EQ(trials.size(), 4u);
  const auto of = [&trials](int i) {
    return ElementsAre(Pair("reward.alpha", i == 1 ? "5" : trials[2].settings[0].second),
                       Pair("credit.lambda", i == 2 ? "0.25" : trials[1].settings[1].second),
                       Pair("tasks.errors", i == 3 ? "holdout" : trials[0].settings[2].second));
  };
  for (const int i : {1, 2, 3}) EXPECT_THAT(trials[i].settings, of(i)) << i;
  EXPECT_EQ(trials[0].settings[0].second, "0");
  EXPECT_EQ(trials[0].settings[1].second, NumberText(trials[0].config.credit.lambda));
  EXPECT_EQ(trials[0].settings[2].second, trials[0].config.tasks.errors);
}

TEST_F(SweepFileTest, TrialsOnTwoSplits_AreRefused) {
  EXPECT_THAT(FaultOf("grid: {evaluate.split: [test, validation]}\n"),
              HasSubstr("evaluate.split validation, another has test; expected one"));
}

TEST_F(SweepFileTest, SeveralRanks_AreRefused) {
  EXPECT_THAT(FaultOf("grid: {cluster.learners: [2]}\n"),
              HasSubstr("ask for 2 ranks; a trial of a sweep is one process"));
}

TEST_F(SweepFileTest, RangeOfNumbersForAnIntegerKey_IsNamedWithItsLine) {
  EXPECT_THAT(FaultOf("random:\n  trials: 2\n  keys: {grpo.group_size: {uniform: [4, 16]}}\n"),
              HasSubstr("sweep.yaml:5: grpo.group_size is"));
}

TEST_F(SweepFileTest, CriterionThatNoTrialCanMeet_IsRefused) {
  EXPECT_THAT(FaultOf("criterion: {policy: classifier, maximize: jaccard_sampled}\n"),
              HasSubstr("expected another column, since the classifier"));
}

TEST_F(SweepFileTest, NarrowRange_DrawnPointsDifferAndKeepToIt) {
  const auto trials =
      ExpandSweep(Read("random:\n  trials: 3\n  keys: {grpo.kl: {uniform: [0.12345, 0.12346]}}\n"));
  ASSERT_EQ(trials.size(), 3u);
  for (const Trial& trial : trials) {
    EXPECT_GE(trial.config.grpo.kl, 0.12345);
    EXPECT_LE(trial.config.grpo.kl, 0.12346);
  }
}

TEST_F(SweepFileTest, ChoiceOfNothing_IsNamed) {
  EXPECT_THAT(FaultOf("random:\n  trials: 2\n  keys: {reward.alpha: {choice: []}}\n"),
              HasSubstr("sweep.yaml:5: random.keys.reward.alpha.choice is []; expected at least"));
}

TEST_F(SweepFileTest, RandomPoints_InTheirRangesAndTheSameWhenMoreAreDrawn) {
  const std::string keys =
      "  keys:\n    grpo.learning_rate: {log_uniform: [1e-5, 1e-3]}\n"
      "    grpo.group_size: {integer: [4, 6]}\n    reward.alpha: {choice: [0, 50]}\n";
  const auto few = ExpandSweep(Read("random:\n  trials: 5\n" + keys));
  const auto many = ExpandSweep(Read("random:\n  trials: 60\n" + keys));
  ASSERT_EQ(few.size(), 5u);
  ASSERT_EQ(many.size(), 60u);
  std::set<int64_t> sizes;
  std::set<double> alphas;
  int below = 0;
  for (size_t i = 0; i < many.size(); ++i) {
    if (i < few.size()) {
      EXPECT_EQ(few[i].id, many[i].id);
    }
    const double rate = many[i].config.grpo.optimizer.learning_rate;
    EXPECT_GE(rate, 1e-5);
    EXPECT_LE(rate, 1e-3);
    below += rate < 1e-4;
    sizes.insert(many[i].config.grpo.sampling.group_size);
    alphas.insert(many[i].config.reward.alpha);
  }
  // The middle of the logarithms: 30 expected, standard deviation below 4.
  EXPECT_NEAR(below, 30, 12);
  EXPECT_THAT(sizes, ElementsAre(4, 5, 6));
  EXPECT_THAT(alphas, ElementsAre(0, 50));
}

TEST_F(SweepFileTest, Faults_AllNamedWithLineAndNearestKey) {
  const std::string fault =
      FaultOf("grid:\n  reward.alfa: [0]\n  credit.lambda: [0, -1]\nretrys: 2\n");
  EXPECT_THAT(fault,
              HasSubstr("sweep.yaml:4: unknown key 'reward.alfa'; nearest is 'reward.alpha'"));
  EXPECT_THAT(fault, HasSubstr("sweep.yaml:5: credit.lambda is -1"));
  EXPECT_THAT(fault, HasSubstr("sweep.yaml:6: unknown key 'retrys'; nearest is 'retries'"));
}

TEST_F(SweepFileTest, MisspeltSection_NearestIsNamed) {
  EXPECT_THAT(FaultOf("gird:\n  reward.alpha: [0]\n"),
              HasSubstr("sweep.yaml:4: unknown section 'gird'; nearest is 'grid'"));
}

TEST_F(SweepFileTest, NoListOfValues_Refused) {
  EXPECT_THAT(FaultOf("grid:\n  reward.alpha: 5\n"), HasSubstr("expected a list of values"));
  EXPECT_THAT(FaultOf("grid:\n  reward.alpha: [5, 5]\n"), HasSubstr("has 5 twice"));
}

TEST_F(SweepFileTest, RunDirAndSeed_NotVaried) {
  EXPECT_THAT(FaultOf("grid:\n  run.seed: [1, 2]\n"), HasSubstr("follows from 'seeds'"));
  EXPECT_THAT(FaultOf("list:\n  a: {run.dir: x}\n"), HasSubstr("follows from 'dir'"));
}

TEST_F(SweepFileTest, RandomRangeTheWrongWayRound_Refused) {
  EXPECT_THAT(FaultOf("random:\n  trials: 2\n  keys:\n    reward.alpha: {uniform: [5, 1]}\n"),
              HasSubstr("expected [low, high] with low < high"));
}

TEST_F(SweepFileTest, SettingsThatDoNotGoTogether_NamedAsATrial) {
  EXPECT_THAT(FaultOf("grid:\n  model.trainable: [full]\n  model.quantize: [int8]\n"),
              HasSubstr("model.trainable is full"));
}

TEST_F(SweepFileTest, Jobs_StagesBeforeGrpoSharedWhereTheirSettingsAreEqual) {
  const auto count = [&](const std::string& lines) {
    const auto trials = ExpandSweep(Read(lines));
    return PlanJobs(folder_ / "out", trials).size() - trials.size();
  };
  EXPECT_EQ(count("grid: {reward.alpha: [0, 5], credit.lambda: [0, 1]}\n"), 4u);
  EXPECT_EQ(count("grid: {list.epochs: [1, 2]}\n"), 5u);        // only list differs
  EXPECT_EQ(count("grid: {classifier.epochs: [1, 2]}\n"), 7u);  // all stages but prepare differ
  EXPECT_EQ(count("seeds: [1, 2]\n"), 8u);
}

TEST_F(SweepFileTest, Jobs_ParentsComeFirstAndTrialsStartFromListSft) {
  const auto jobs = PlanJobs(folder_ / "out", ExpandSweep(Read("grid: {reward.alpha: [0, 5]}\n")));
  ASSERT_EQ(jobs.size(), 6u);
  EXPECT_EQ(jobs[0].parent, -1);
  EXPECT_THAT(jobs[3].command, ElementsAre("sft", "list"));
  EXPECT_EQ(jobs[4].parent, 3);
  EXPECT_EQ(jobs[5].parent, 3);
  EXPECT_EQ(jobs[3].config.run.dir, jobs[3].folder);
}

}  // namespace
}  // namespace flame
