#include "recommend/classifier_examples.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "recommend/baselines/facts.h"
#include "recommend/baselines/logistic.h"
#include "recommend/classify.h"
#include "tests/rollout/rollout_fixture.h"

namespace flame {
namespace {

// A corpus of four visits and four drugs; each visit has two of the drugs.
class ClassifierExamplesTest : public RolloutFixture {
 protected:
  ClassifierExamples Make(const std::string& balance, double ratio, uint64_t seed = 1) {
    ClassifierOptions options;
    options.balance = balance;
    options.balance_ratio = ratio;
    return ClassifierExamples(*prompts_, corpus_, visits_, options, seed);
  }

  // Returns the example's candidates and whether the answer to each is Yes.
  std::map<int32_t, bool> Answers(const Family& family) {
    std::map<int32_t, bool> answers;
    for (const Branch& branch : family.branches) {
      for (int32_t drug = 0; drug < 4; ++drug) {
        const std::vector<int32_t>& candidate = prompts_->CandidateBranch(drug);
        if (!std::equal(candidate.begin(), candidate.end(), branch.tokens.begin())) continue;
        EXPECT_EQ(branch.tokens.size(), candidate.size() + 1);
        EXPECT_EQ(branch.loss_from, static_cast<int32_t>(candidate.size()));
        answers[drug] = branch.tokens.back() == prompts_->yes_id();
      }
    }
    EXPECT_EQ(answers.size(), family.branches.size());
    return answers;
  }

  std::vector<int32_t> visits_ = {0, 1, 2, 3};
};

TEST_F(ClassifierExamplesTest, NoBalance_AsksEveryCandidateOnce) {
  const auto examples = Make("none", 1);
  EXPECT_EQ(examples.size(), 4);
  const SftExample example = examples.At(1, 5);
  EXPECT_TRUE(example.weights.empty());
  EXPECT_EQ(Answers(example.family),
            (std::map<int32_t, bool>{{0, false}, {1, true}, {2, true}, {3, false}}));
}

TEST_F(ClassifierExamplesTest, Weight_GivesNoTheRatioTimesTheWeightOfYes) {
  corpus_.visits[3].drugs = {0};
  for (const double ratio : {1.0, 3.0}) {
    const auto examples = Make("weight", ratio);
    double yes = 0, no = 0;
    for (int64_t i = 0; i < 4; ++i) {
      const SftExample example = examples.At(i, 0);
      ASSERT_EQ(example.weights.size(), 4u);
      for (const auto& [drug, given] : Answers(example.family)) {
        (given ? yes : no) += example.weights[drug];
        if (!given) {
          EXPECT_EQ(example.weights[drug], 1);
        }
      }
    }
    EXPECT_NEAR(no, ratio * yes, 1e-12);
    EXPECT_NEAR(examples.yes_weight(), 9.0 / (7.0 * ratio), 1e-12);
  }
  for (Visit& visit : corpus_.visits) visit.drugs.clear();
  EXPECT_THROW(Make("weight", 1), DataError);
}

TEST_F(ClassifierExamplesTest, Subsample_KeepsYesAndDrawsNoAnewEachEpoch) {
  corpus_.visits[0].drugs = {2};
  const auto examples = Make("subsample", 1);
  std::set<std::set<int32_t>> drawn;
  for (int64_t epoch = 0; epoch < 20; ++epoch) {
    const SftExample example = examples.At(0, epoch);
    EXPECT_TRUE(example.weights.empty());
    std::set<int32_t> no;
    for (const auto& [drug, given] : Answers(example.family)) {
      EXPECT_EQ(given, drug == 2);
      if (!given) no.insert(drug);
    }
    EXPECT_EQ(no.size(), 1u);
    EXPECT_EQ(Answers(examples.At(0, epoch).family), Answers(example.family));
    drawn.insert(no);
  }
  EXPECT_EQ(drawn.size(), 3u);  // each of the other drugs was drawn in some epoch
}

TEST_F(ClassifierExamplesTest, SubsampleRatio_CountsNoAnswers) {
  corpus_.visits[0].drugs = {};
  corpus_.visits[2].drugs = {1};
  const std::map<double, std::vector<size_t>> sizes = {
      {0.5, {1, 3, 2, 3}}, {1, {1, 4, 2, 4}}, {2, {2, 4, 3, 4}}, {100, {4, 4, 4, 4}}};
  for (const auto& [ratio, expected] : sizes) {
    const auto examples = Make("subsample", ratio);
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(examples.At(i, 0).family.branches.size(), expected[i]) << ratio << " " << i;
    }
  }
}

TEST_F(ClassifierExamplesTest, NamedDrugs_WeighMoreAtFirst) {
  corpus_.visits[1].previous = 0;
  corpus_.visits[0].drugs = {0, 3};
  ClassifierOptions options;
  options.named_weight = 4;
  options.balance = "weight";
  const ClassifierExamples weighted(*prompts_, corpus_, visits_, options, 1);
  const SftExample example = weighted.At(1, 0);  // visit 1 is given drugs 1 and 2
  const double yes = weighted.yes_weight();
  EXPECT_EQ(example.weights, (std::vector<double>{1, yes, yes, 1}));
  EXPECT_EQ(example.early_weights, (std::vector<double>{4, yes, yes, 4}));

  options.balance = "subsample";
  options.balance_ratio = 0.5;  // one No answer beside two of Yes
  const ClassifierExamples some(*prompts_, corpus_, visits_, options, 1);
  const SftExample kept = some.At(1, 0);
  EXPECT_EQ(kept.family.branches.size(), 3u);
  const bool first = Answers(kept.family).contains(0);
  EXPECT_EQ(kept.early_weights,
            first ? (std::vector<double>{4, 1, 1}) : (std::vector<double>{1, 1, 4}));
  EXPECT_TRUE(Make("none", 1).At(1, 0).early_weights.empty());
}

// The other answer has the teacher's probability of it times the share.
TEST_F(ClassifierExamplesTest, Teacher_HasItsShareOfTheOtherAnswer) {
  ClassifierOptions options;
  options.teacher_share = 0.5;
  const ClassifierExamples taught(*prompts_, corpus_, visits_, options, 1);
  const std::vector<float> logits =
      LogisticLogits(corpus_, FactsOf(corpus_), visits_, visits_);  // [4, 4]
  const SftExample example = taught.At(1, 0);
  ASSERT_EQ(example.early_answers.size(), 4u);
  for (const auto& [drug, given] : Answers(example.family)) {
    const EarlyAnswer& answer = example.early_answers[drug];
    EXPECT_EQ(answer.token, given ? prompts_->no_id() : prompts_->yes_id());
    const double yes = 1 / (1 + std::exp(-logits[4 + drug]));
    EXPECT_NEAR(answer.share, 0.5 * (given ? 1 - yes : yes), 1e-6);
  }
  EXPECT_TRUE(Make("none", 1).At(1, 0).early_answers.empty());
}

TEST_F(ClassifierExamplesTest, DrawValidation_TakesPartOfTheSplitBySeed) {
  Corpus corpus;
  for (int32_t v = 0; v < 60; ++v) {
    corpus.visits.emplace_back();
    corpus.visits.back().split = v < 20 ? Split::kTrain : Split::kValidation;
  }
  EXPECT_EQ(DrawValidation(corpus, 0, 1), corpus.VisitsOf(Split::kValidation));
  EXPECT_EQ(DrawValidation(corpus, 40, 1).size(), 40u);
  const auto some = DrawValidation(corpus, 10, 1);
  EXPECT_EQ(some.size(), 10u);
  EXPECT_TRUE(std::is_sorted(some.begin(), some.end()));
  EXPECT_GE(some.front(), 20);
  EXPECT_EQ(DrawValidation(corpus, 10, 1), some);
  EXPECT_NE(DrawValidation(corpus, 10, 2), some);
}

// The offset shifts every score by the same amount on the logit scale.
TEST_F(ClassifierExamplesTest, OffsetOfScores_IsSubtractedFromLogits) {
  const Policy policy = MakePolicy();
  const auto logits = ClassifierLogits(policy, *prompts_, 4, visits_, 100, "");
  const Scores plain = ClassifyVisits(policy, *prompts_, 4, visits_, 0, 100, "");
  const Scores moved = ClassifyVisits(policy, *prompts_, 4, visits_, -0.75, 10000, "");
  ASSERT_EQ(logits.size(), 16u);
  for (size_t i = 0; i < logits.size(); ++i) {
    EXPECT_NEAR(plain.yes[i], 1 / (1 + std::exp(-logits[i])), 1e-6);
    EXPECT_NEAR(moved.yes[i], 1 / (1 + std::exp(-(logits[i] + 0.75))), 1e-6);
  }
}

}  // namespace
}  // namespace flame
