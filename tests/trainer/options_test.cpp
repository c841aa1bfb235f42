#include "trainer/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trainer/credit/credit.h"
#include "trainer/step_report.h"

namespace flame {
namespace {

TEST(GrpoOptions, Defaults_AreTheAuthors) {
  const GrpoOptions options;
  EXPECT_EQ(options.optimizer.learning_rate, 1e-5);
  EXPECT_EQ(options.optimizer.schedule, "cosine");
  EXPECT_EQ(options.optimizer.warmup, 200);
  EXPECT_EQ(options.lora.rank, 32);
  EXPECT_EQ(options.lora.alpha, 16);
  EXPECT_EQ(options.lora.dropout, 0);
  EXPECT_EQ(options.lora.targets.size(), 7u);
  EXPECT_EQ(options.sampling.group_size, 8);
}

TEST(TrainerOptions, Overrides_ReachTheFields) {
  GrpoOptions grpo;
  SftOptions list;
  CreditOptions credit;
  ClusterOptions cluster;
  ConfigSchema schema;
  grpo.Bind(&schema);
  list.Bind("list", &schema);
  credit.Bind(&schema);
  cluster.Bind(&schema);
  schema.Load("", {"grpo.normalizer=constant", "grpo.learning_rate=0.5", "grpo.lora.rank=4",
                   "list.batch=3", "list.schedule=linear", "credit.lambda=0", "cluster.timeout=5",
                   "list.projector_rate=0.25", "credit.scheme=anchor", "credit.scale_rewards=none",
                   "grpo.loss=gspo"});
  EXPECT_EQ(list.optimizer.projector_rate, 0.25);
  EXPECT_EQ(credit.scheme, "anchor");
  EXPECT_EQ(credit.scale_rewards, "none");
  EXPECT_EQ(grpo.loss, "gspo");
  EXPECT_EQ(grpo.normalizer, "constant");
  EXPECT_EQ(grpo.optimizer.learning_rate, 0.5);
  EXPECT_EQ(grpo.lora.rank, 4);
  EXPECT_EQ(list.batch, 3);
  EXPECT_EQ(list.optimizer.schedule, "linear");
  EXPECT_EQ(credit.lambda, 0);
  EXPECT_EQ(cluster.timeout, 5);
}

TEST(TrainerOptions, OutOfRange_IsNamed) {
  for (const std::string bad :
       {"grpo.clip=7", "grpo.kl=-1", "grpo.normalizer=mean", "grpo.steps=0", "grpo.beta2=1",
        "grpo.learning_rate=0", "grpo.loss=ppo", "credit.scheme=shapley",
        "credit.scale_rewards=token", "classifier.named_weight=0", "classifier.teacher_share=1.5",
        "classifier.projector_rate=0"}) {
    GrpoOptions grpo;
    ClassifierOptions classifier;
    CreditOptions credit;
    ConfigSchema schema;
    grpo.Bind(&schema);
    classifier.Bind(&schema);
    credit.Bind(&schema);
    try {
      schema.Load("", {bad});
      ADD_FAILURE() << bad << " was accepted";
    } catch (const UsageError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(bad.substr(0, bad.find('='))));
    }
  }
}

TEST(StepReport, Json_HoldsEveryFieldOfMetrics) {
  StepReport report;
  report.tokens_trained = 100;
  report.seconds = 4;
  const nlohmann::json row = ToJson(report);
  for (const char* key : {"step",
                          "reward_mean",
                          "reward_std",
                          "phi_jaccard",
                          "phi_ddi",
                          "phi_refusal",
                          "advantage_std",
                          "loss",
                          "kl",
                          "clip_fraction",
                          "entropy",
                          "grad_norm",
                          "learning_rate",
                          "sample_mismatch_max",
                          "tokens_trained",
                          "tokens_sampled",
                          "tokens_per_second",
                          "seconds",
                          "policy_version",
                          "seconds_rollout",
                          "seconds_reward",
                          "seconds_learn",
                          "seconds_sync"}) {
    EXPECT_TRUE(row.contains(key)) << key;
  }
  EXPECT_EQ(row.at("tokens_per_second"), 25);
}

}  // namespace
}  // namespace flame
