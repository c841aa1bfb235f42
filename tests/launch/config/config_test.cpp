#include "launch/config/config.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {
namespace {

Config Load(std::vector<std::string> overrides) {
  overrides.push_back("data.hospital=synth");
  return LoadConfig("", overrides);
}

TEST(LoadConfig, Preset_GivesDefaultsThatKeysGivenOverrule) {
  const Config plain = Load({});
  EXPECT_EQ(plain.grpo.kl, 0.02);
  EXPECT_EQ(plain.credit.lambda, 0.5);
  // Keys override the preset in any order, even if the given value is the default without a preset.
  for (const bool preset_first : {false, true}) {
    std::vector<std::string> overrides = {"grpo.kl=0.02", "grpo.normalizer=sequence"};
    overrides.insert(preset_first ? overrides.begin() : overrides.end(), "grpo.preset=trl");
    const Config config = Load(overrides);
    EXPECT_EQ(config.grpo.preset, "trl");
    EXPECT_EQ(config.grpo.kl, 0.02);
    EXPECT_EQ(config.grpo.normalizer, "sequence");
    EXPECT_EQ(config.grpo.kl_estimator, "k3_ratio");
    EXPECT_EQ(config.grpo.optimizer.learning_rate, 1e-6);
    EXPECT_EQ(config.credit.lambda, 0);
    EXPECT_EQ(config.classifier.optimizer.learning_rate, plain.classifier.optimizer.learning_rate);
  }
  EXPECT_THROW(Load({"grpo.preset=tlr"}), UsageError);
}

TEST(LoadConfig, CreditKeysWithoutEffect_AreRefused) {
  for (const std::vector<std::string>& keys : std::vector<std::vector<std::string>>{
           {"credit.scheme=causal", "grpo.preset=standard"},
           {"credit.scheme=anchor", "grpo.preset=trl"},
           {"credit.scheme=anchor", "credit.scale_steps=group"},
           {"credit.scale_rewards=none", "credit.scale_steps=group"},
           {"credit.scheme=causal", "grpo.loss=gspo"}}) {
    EXPECT_THROW(Load(keys), UsageError) << keys[0] << " " << keys[1];
  }
  EXPECT_EQ(Load({"credit.scheme=anchor", "grpo.loss=gspo"}).credit.scheme, "anchor");
  EXPECT_EQ(Load({"credit.scale_steps=group"}).credit.scale_steps, "group");
}

TEST(LoadConfig, ATeacherWithBalancedClasses_IsRefused) {
  EXPECT_THROW(Load({"classifier.teacher_share=0.5", "classifier.balance=weight"}), UsageError);
  EXPECT_THROW(Load({"classifier.teacher_share=0.5", "classifier.balance=subsample"}), UsageError);
  EXPECT_EQ(Load({"classifier.teacher_share=0.5"}).classifier.teacher_share, 0.5);
}

TEST(LoadConfig, ResolvedYaml_LoadsAsTheSame) {
  const Config config = Load({"grpo.preset=trl", "grpo.iterations=3"});
  const auto file = std::filesystem::path(testing::TempDir()) / "resolved.yaml";
  WriteFileAtomically(file, config.ResolvedYaml());
  const Config again = LoadConfig(file, {});
  EXPECT_EQ(again.ResolvedYaml(), config.ResolvedYaml());
  EXPECT_EQ(again.grpo.kl_estimator, "k3_ratio");
  EXPECT_EQ(again.grpo.iterations, 3);
}

}  // namespace
}  // namespace flame
