// Tests the policy against the dense oracle in float64: outputs and every gradient.
#include "model/policy.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "tests/model/oracle.h"

namespace flame {
namespace {

using Gradients = std::map<std::string, at::Tensor>;

// Returns fixed weights under which no two tokens' gradients cancel or look alike.
at::Tensor LossWeights(const at::Tensor& logprobs) {
  return at::arange(logprobs.size(0), logprobs.options().requires_grad(false)).cos() + 0.3;
}

Gradients TakeGradients(Policy* policy) {
  Gradients gradients;
  for (auto& [name, tensor] : policy->parameters()) {
    if (!tensor.requires_grad()) continue;
    gradients[name] = tensor.grad().defined() ? tensor.grad().clone() : at::zeros_like(tensor);
    tensor.mutable_grad().reset();
  }
  return gradients;
}

struct Result {
  at::Tensor logprobs;
  Gradients gradients;
};

Result RunPacked(Policy* policy, const std::vector<Family>& families, const ForwardOptions& options,
                 double temperature = 1.0) {
  const FamilyBatch batch = PackFamilies(families);
  const at::Tensor hidden = policy->Hidden(batch, options);
  const at::Tensor logprobs = policy->LogProbs(hidden, batch.sources, batch.targets, temperature);
  (logprobs * LossWeights(logprobs)).sum().backward();
  return {logprobs.detach(), TakeGradients(policy)};
}

Result RunOracle(Policy* policy, const std::vector<Family>& families, double lora_scale,
                 double temperature = 1.0) {
  const at::Tensor logprobs = Oracle(*policy, lora_scale).LogProbs(families, temperature);
  (logprobs * LossWeights(logprobs)).sum().backward();
  return {logprobs.detach(), TakeGradients(policy)};
}

void ExpectClose(const Result& found, const Result& expected, double tolerance) {
  EXPECT_LT(Difference(found.logprobs, expected.logprobs), tolerance);
  ASSERT_EQ(found.gradients.size(), expected.gradients.size());
  for (const auto& [name, gradient] : expected.gradients) {
    EXPECT_LT(Difference(found.gradients.at(name), gradient), tolerance) << name;
    EXPECT_GT(gradient.abs().max().item<double>(), 1e-9) << name << " has no gradient to compare";
  }
}

void ExpectSameBits(const Result& a, const Result& b) {
  EXPECT_TRUE(at::equal(a.logprobs, b.logprobs));
  for (const auto& [name, gradient] : a.gradients) {
    EXPECT_TRUE(at::equal(gradient, b.gradients.at(name))) << name;
  }
}

void AddTestEntities(Policy* policy) {
  EntitySlots drug{"drug", 40, (at::arange(5 * 6, at::kDouble).sin() * 2).view({5, 6}), 7};
  EntitySlots diagnosis{"diagnosis", 45, at::arange(3 * 4, at::kDouble).cos().view({3, 4}), 5};
  policy->AddEntities({drug, diagnosis}, 3);
}

TEST(Policy, FullTrainingTied_MatchesOracle) {
  Policy policy = TestPolicy(at::kDouble, /*tie=*/true);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 11);
  ExpectClose(RunPacked(&policy, families, {}), RunOracle(&policy, families, 0), 1e-9);
}

TEST(Policy, UntiedHeadAndTemperature_MatchesOracle) {
  Policy policy = TestPolicy(at::kDouble, /*tie=*/false);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 12);
  ExpectClose(RunPacked(&policy, families, {}, 0.7), RunOracle(&policy, families, 0, 0.7), 1e-9);
}

TEST(Policy, AdaptersAndSlots_MatchOracle) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestEntities(&policy);
  AddTestAdapters(&policy);
  const auto trainable = policy.SelectTrainable("lora");
  EXPECT_EQ(trainable.size(), 3u * 7 * 2 + 2 * 4);
  auto families = VariedFamilies(37, 13);
  families[0].trunk = {3, 41, 7, 46, 40};
  families[1].branches[1].tokens[0] = 44;  // not asked for: the branch's loss starts at 1
  ExpectClose(RunPacked(&policy, families, {}), RunOracle(&policy, families, 4.0), 1e-9);
}

TEST(Policy, FloatWeights_StayNearTheDoubleOracle) {
  Policy exact = TestPolicy(at::kDouble), policy = TestPolicy(at::kFloat);
  exact.SelectTrainable("full");
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 14);
  Result found = RunPacked(&policy, families, {});
  for (auto& [name, gradient] : found.gradients) gradient = gradient.to(at::kDouble);
  found.logprobs = found.logprobs.to(at::kDouble);
  ExpectClose(found, RunOracle(&exact, families, 0), 2e-5);
}

TEST(Policy, FiniteDifference_AgreesWithGradient) {
  Policy policy = TestPolicy(at::kDouble);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 15);
  const Gradients gradients = RunPacked(&policy, families, {}).gradients;
  const at::NoGradGuard no_grad;
  const FamilyBatch batch = PackFamilies(families);
  const auto loss = [&] {
    const at::Tensor logprobs =
        policy.LogProbs(policy.Hidden(batch, {}), batch.sources, batch.targets);
    return (logprobs * LossWeights(logprobs)).sum().item<double>();
  };
  for (const char* name : {"model.layers.1.self_attn.k_proj.weight", "model.norm.weight",
                           "model.layers.0.mlp.gate_proj.weight"}) {
    at::Tensor element = policy.parameters().at(name).flatten()[3];
    const double step = 1e-6;
    element.add_(step);
    const double above = loss();
    element.sub_(2 * step);
    const double below = loss();
    element.add_(step);
    EXPECT_NEAR((above - below) / (2 * step), gradients.at(name).flatten()[3].item<double>(), 1e-6)
        << name;
  }
}

TEST(Policy, Recompute_ChangesNoBit) {
  Policy policy = TestPolicy(at::kFloat);
  AddTestAdapters(&policy, 0.3);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 16);
  ForwardOptions options;
  options.dropout_seed = 99;
  const Result kept = RunPacked(&policy, families, options);
  options.recompute = true;
  ExpectSameBits(kept, RunPacked(&policy, families, options));
}

TEST(Policy, SecondRun_HasTheSameBits) {
  Policy policy = TestPolicy(at::kFloat);
  policy.SelectTrainable("full");
  std::vector<Family> families;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    families.push_back(MakeFamily(30 + seed, std::vector<int64_t>(40, 3), 37, seed, 1));
  }
  ExpectSameBits(RunPacked(&policy, families, {}), RunPacked(&policy, families, {}));
}

TEST(Policy, DropoutSeed_DecidesTheMask) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestAdapters(&policy, 0.5);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 17));
  const auto hidden = [&](uint64_t seed) {
    ForwardOptions options;
    options.dropout_seed = seed;
    return policy.Hidden(batch, options);
  };
  EXPECT_TRUE(at::equal(hidden(7), hidden(7)));
  EXPECT_FALSE(at::equal(hidden(7), hidden(8)));
  EXPECT_FALSE(at::equal(hidden(7), hidden(0)));
}

TEST(Policy, DropoutGradient_AgreesWithFiniteDifference) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestAdapters(&policy, 0.4);
  policy.SelectTrainable("full");
  const auto families = VariedFamilies(37, 18);
  ForwardOptions options;
  options.dropout_seed = 5;
  const Gradients gradients = RunPacked(&policy, families, options).gradients;
  const at::NoGradGuard no_grad;
  const FamilyBatch batch = PackFamilies(families);
  const auto loss = [&] {
    const at::Tensor logprobs =
        policy.LogProbs(policy.Hidden(batch, options), batch.sources, batch.targets);
    return (logprobs * LossWeights(logprobs)).sum().item<double>();
  };
  for (const char* name :
       {"model.layers.0.self_attn.q_proj.lora_A.weight",
        "model.layers.1.mlp.down_proj.lora_B.weight", "model.embed_tokens.weight"}) {
    at::Tensor element = policy.parameters().at(name).flatten()[5];
    const double step = 1e-6;
    element.add_(step);
    const double above = loss();
    element.sub_(2 * step);
    const double below = loss();
    element.add_(step);
    EXPECT_NEAR((above - below) / (2 * step), gradients.at(name).flatten()[5].item<double>(), 1e-6)
        << name;
  }
}

TEST(Policy, FreshAdapters_ChangeNothing) {
  Policy policy = TestPolicy(at::kDouble);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 19));
  const at::Tensor before = policy.Hidden(batch, {});
  policy.AddAdapters({}, 1);
  EXPECT_TRUE(at::equal(policy.Hidden(batch, {}), before));
}

TEST(Policy, AdaptersOff_GivesTheBase) {
  Policy policy = TestPolicy(at::kDouble);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 20));
  const at::Tensor before = policy.Hidden(batch, {});
  AddTestAdapters(&policy);
  ForwardOptions reference;
  reference.adapters = false;
  EXPECT_TRUE(at::equal(policy.Hidden(batch, reference), before));
  EXPECT_GT(Difference(policy.Hidden(batch, {}), before), 1e-3);
}

TEST(Policy, MergedAdapters_GiveTheSame) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestAdapters(&policy);
  const FamilyBatch batch = PackFamilies(VariedFamilies(37, 21));
  const at::Tensor before = policy.Hidden(batch, {});
  Policy merged = policy;
  merged.MergeAdapters();
  EXPECT_FALSE(merged.has_adapters());
  EXPECT_LT(Difference(merged.Hidden(batch, {}), before), 1e-10);
  EXPECT_TRUE(at::equal(policy.Hidden(batch, {}), before)) << "merging a copy changed the original";
}

TEST(Policy, MaterializedSlots_GiveTheSameHiddenStates) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestEntities(&policy);
  Family family = MakeFamily(6, {2, 3}, 37, 22);
  family.trunk[2] = 43, family.branches[0].tokens[1] = 47;
  const FamilyBatch batch = PackFamilies({family});
  const Policy plain = policy.MaterializeEntities();
  EXPECT_EQ(plain.config().vocab_size, 48);
  EXPECT_TRUE(plain.entities().empty());
  EXPECT_LT(Difference(plain.Hidden(batch, {}), policy.Hidden(batch, {})), 1e-14);
}

// Slots of visits, of which a corpus has many and a batch few.
Policy PolicyWithVisits() {
  Policy policy = TestPolicy(at::kDouble);
  AddTestEntities(&policy);
  EntitySlots visits{"visit", 48, at::zeros({0, 4}, at::kDouble), 6, /*borrowed=*/true};
  policy.AddEntities({visits}, 4);
  return policy;
}

TEST(Policy, BorrowedSlots_MatchOracleForEveryCorpus) {
  Policy policy = PolicyWithVisits();
  AddTestAdapters(&policy);
  EXPECT_EQ(policy.SelectTrainable("lora").size(), 3u * 7 * 2 + 3 * 4);
  EXPECT_FALSE(policy.parameters().contains("entities.visit.collab"));
  for (const int64_t count : {3, 100}) {
    policy.SetCollab("visit", (at::arange(count * 4, at::kDouble) * 3).sin().view({count, 4}));
    auto families = VariedFamilies(37, 13);
    families[0].trunk = {3, 41, 7, 46, 48};
    families[1].trunk = {static_cast<int32_t>(47 + count), 5, static_cast<int32_t>(47 + count)};
    ExpectClose(RunPacked(&policy, families, {}), RunOracle(&policy, families, 4.0), 1e-9);
    const Family beyond{{static_cast<int32_t>(48 + count)}, {}};
    EXPECT_THROW(policy.Hidden(PackFamilies({beyond}), {}), UsageError);
  }
  EXPECT_THROW(policy.SetCollab("visit", at::zeros({3, 5}, at::kDouble)), UsageError);
  const EntitySlots behind{"procedure", 60, at::zeros({2, 4}, at::kDouble), 6};
  EXPECT_THROW(policy.AddEntities({behind}, 4), UsageError);
}

TEST(Policy, MaterializedSlots_LeaveBorrowedOnesUntilDropped) {
  Policy policy = PolicyWithVisits();
  policy.SetCollab("visit", at::arange(20, at::kDouble).sin().view({5, 4}));
  Family family = MakeFamily(6, {2, 3}, 37, 22);
  family.trunk[2] = 43, family.trunk[3] = 52;
  const FamilyBatch batch = PackFamilies({family});
  Policy plain = policy.MaterializeEntities();
  EXPECT_EQ(plain.config().vocab_size, 48);
  ASSERT_EQ(plain.entities().size(), 1u);
  EXPECT_LT(Difference(plain.Hidden(batch, {}), policy.Hidden(batch, {})), 1e-14);
  plain.DropBorrowed();
  EXPECT_EQ(plain.MaterializeEntities().config().vocab_size, 49);
}

TEST(Policy, LogitsOf_CarriesGradients) {
  Policy policy = TestPolicy(at::kDouble);
  policy.SelectTrainable("full");
  const Family family = MakeFamily(6, {2, 3}, 37, 23);  // sources: 5 and 6; 5, 6 and 7
  const FamilyBatch batch = PackFamilies({family});
  const at::Tensor logits = policy.LogitsOf(policy.Hidden(batch, {}), batch.sources, {4, 9});
  at::log_softmax(logits, 1).select(1, 0).sum().backward();
  const Gradients found = TakeGradients(&policy);

  const Oracle oracle(policy, 0);
  at::Tensor loss;
  for (const auto& tokens : Sequences({family})) {
    const at::Tensor rows = oracle.Hidden(tokens).narrow(0, 5, tokens.size() - 6);
    const at::Tensor all =
        at::matmul(rows, policy.parameters().at("model.embed_tokens.weight").t());
    const at::Tensor chosen =
        at::log_softmax(all.index_select(1, at::arange(4, 10, 5, at::kLong)), 1).select(1, 0).sum();
    loss = loss.defined() ? loss + chosen : chosen;
  }
  loss.backward();
  for (const auto& [name, gradient] : TakeGradients(&policy)) {
    EXPECT_LT(Difference(found.at(name), gradient), 1e-9) << name;
  }
}

TEST(Policy, Entropy_MatchesItsDefinition) {
  const Policy policy = TestPolicy(at::kDouble);
  const FamilyBatch batch = PackFamilies({MakeFamily(6, {2, 3}, 37, 24)});
  const at::Tensor hidden = policy.Hidden(batch, {});
  at::Tensor entropy;
  policy.LogProbs(hidden, batch.sources, batch.targets, 0.8, &entropy);
  const at::Tensor logprobs =
      at::log_softmax(at::matmul(hidden.index_select(0, batch.sources),
                                 policy.parameters().at("model.embed_tokens.weight").t()) /
                          0.8,
                      1);
  EXPECT_LT(Difference(entropy, -(logprobs.exp() * logprobs).sum(1)), 1e-12);
}

TEST(Policy, TokenOutsideVocabularyAndSlots_IsRefused) {
  Policy policy = TestPolicy(at::kDouble);
  AddTestEntities(&policy);
  EXPECT_THROW(policy.Hidden(PackFamilies({{{1, 38}, {}}}), {}), UsageError);
  EXPECT_THROW(policy.Hidden(PackFamilies({{{1, -1}, {}}}), {}), UsageError);
}

TEST(Policy, SequenceBeyondMaxPositions_IsRefused) {
  const Policy policy = TestPolicy(at::kFloat);
  const FamilyBatch fits = PackFamilies({MakeFamily(250, {6}, 37, 1, 6)});
  const FamilyBatch longer = PackFamilies({MakeFamily(250, {7}, 37, 1, 7)});
  EXPECT_NO_THROW(policy.Hidden(fits, {}));
  EXPECT_THROW(policy.Hidden(longer, {}), UsageError);
}

TEST(Policy, UnknownTargetPresetOrTrainable_IsRefused) {
  Policy policy = TestPolicy(at::kFloat);
  LoraOptions options;
  options.targets = {"q_proj", "qv_proj"};
  EXPECT_THROW(policy.AddAdapters(options, 1), UsageError);
  EXPECT_THROW(policy.SelectTrainable("adapters"), UsageError);
  EXPECT_THROW(policy.SelectTrainable("everything"), UsageError);
  EXPECT_THROW(PolicyPreset("huge", 10), UsageError);
}

}  // namespace
}  // namespace flame
