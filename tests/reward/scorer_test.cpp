#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "reward/matcher.h"
#include "reward/service.h"
#include "tests/reward/reward_fixture.h"

namespace flame {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pointwise;

const std::vector<std::string> kPieces = {
    "nine",  "hundred", "Nine-Hundred", "units",        " ",    "-",    "\n", "foo",
    "zero",  "one",     "two",          "three",        "four", "five", "ze", "ro",
    "\nfoo", "\none",   "two\n",        "four\nfive\n", "ONE",  "\n\n"};

class ScorerTest : public ::testing::Test {
 protected:
  Verdict Score(const std::vector<std::string>& completion, const std::vector<int32_t>& truth,
                const std::vector<int32_t>& input, Edit edit, const RewardOptions& options = {}) {
    const Corpus corpus = DigitCorpus({truth});
    const Scorer scorer(corpus, pieces_.tokenizer(), pieces_.end_id(), options);
    return scorer.Score({17, 0, edit, input, {pieces_.Ids(completion)}}).at(0);
  }
  PieceTokenizer pieces_{kPieces};
};

// Checks the worked example of reward/verdict.h.
TEST_F(ScorerTest, WorkedExample_HasItsVerdict) {
  Corpus corpus = DigitCorpus({{1, 9}});
  corpus.drugs.titles[9] = "nine";
  const Scorer scorer(corpus, pieces_.tokenizer(), pieces_.end_id(), {});
  const Verdict v =
      scorer.Score({1, 0, Edit::kAdd, {1}, {pieces_.Ids({"nine", "\n", "foo", "\n", "<end>"})}})[0];
  EXPECT_THAT(v.phi_jaccard, ElementsAre(0.5f, 1, 1));
  EXPECT_THAT(v.phi_refusal, ElementsAre(0, 0, 0.5f));
  EXPECT_THAT(v.phi, ElementsAre(0.5f, 1, 0.75f));
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 1, 2, 2, -1));
  ASSERT_EQ(v.state.size(), 3u);
  EXPECT_NE(v.state[0], v.state[1]);
  EXPECT_EQ(v.state[1], v.state[2]);
  EXPECT_EQ(v.reward, 0.25f);
  EXPECT_THAT(v.final_list, ElementsAre(1, 9));
  EXPECT_EQ(v.num_lines, 2);
  EXPECT_EQ(v.num_refused, 1);
}

TEST_F(ScorerTest, LinesInAnotherOrder_EndInTheSameState) {
  const Verdict a = Score({"one", "\n", "two", "\n", "<end>"}, {1}, {3}, Edit::kAdd);
  const Verdict b = Score({"two", "\n", "one", "\n", "<end>"}, {1}, {3}, Edit::kAdd);
  ASSERT_EQ(a.state.size(), 3u);
  EXPECT_EQ(a.state[0], b.state[0]);
  EXPECT_NE(a.state[1], b.state[1]);
  EXPECT_EQ(a.state[2], b.state[2]);
}

TEST_F(ScorerTest, EndOfTextAlone_IsTheInputList) {
  const Verdict v = Score({"<end>"}, {1, 2}, {2}, Edit::kAdd);
  EXPECT_THAT(v.phi, ElementsAre(0.5f));
  EXPECT_THAT(v.step_of_token, ElementsAre(-1));
  EXPECT_EQ(v.reward, 0);
  EXPECT_THAT(v.final_list, ElementsAre(2));
}

TEST_F(ScorerTest, Remove_TakesDrugsOut) {
  // The list goes from {0, 1, 2} to {1} against the truth {1}: Jaccard 1/3, then 1/2, then 1.
  const Verdict v = Score({"zero", "\n", "two\n", "<end>"}, {1}, {0, 1, 2}, Edit::kRemove);
  EXPECT_THAT(v.phi_jaccard, ElementsAre(FloatEq(1.f / 3), 0.5f, 1));
  // Harmful are the pairs 0-1 and 1-2 of three, then 1-2 of one, then none.
  EXPECT_THAT(v.phi_ddi, ElementsAre(FloatEq(2.f / 3), 1, 0));
  EXPECT_THAT(v.final_list, ElementsAre(1));
}

TEST_F(ScorerTest, AlphaAndBeta_WeighTheTerms) {
  RewardOptions options;
  options.alpha = 5;
  options.beta = 2;
  // The first line adds drug 1 to {0}, and pair 0-1 is harmful. The second is a refusal: 1 of 2
  // lines.
  const Verdict v = Score({"one", "\n", "foo", "\n"}, {0, 1}, {0}, Edit::kAdd, options);
  EXPECT_THAT(v.phi, ElementsAre(0.5f, 1 - 5.f, 1 - 5.f - 1));
  EXPECT_EQ(v.reward, -5.5f);
}

TEST_F(ScorerTest, NamesWithHyphensSpacesAndCase_Match) {
  const Verdict v =
      Score({"Nine-Hundred", " ", "units", "\n", "ONE", "\n", "<end>"}, {1, 9}, {}, Edit::kAdd);
  EXPECT_THAT(v.final_list, ElementsAre(1, 9));
  EXPECT_THAT(v.phi, ElementsAre(0, 0.5f, 1));
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 1, 1, 1, 2, 2, -1));
  EXPECT_EQ(v.num_refused, 0);
}

TEST_F(ScorerTest, DrugAlreadyThereOrAbsent_ChangesNothingAndIsNoRefusal) {
  const Verdict add = Score({"one", "\n", "one", "\n"}, {1, 2}, {1}, Edit::kAdd);
  EXPECT_THAT(add.phi, ElementsAre(0.5f, 0.5f, 0.5f));
  EXPECT_EQ(add.num_refused, 0);
  const Verdict remove = Score({"three", "\n"}, {1, 2}, {1}, Edit::kRemove);
  EXPECT_THAT(remove.phi, ElementsAre(0.5f, 0.5f));
  EXPECT_EQ(remove.num_refused, 0);
  EXPECT_EQ(remove.num_lines, 1);
}

TEST_F(ScorerTest, BlankLines_AreRefusals) {
  const Verdict v = Score({"\n\n", "one", "\n"}, {1}, {}, Edit::kAdd);
  EXPECT_THAT(v.phi_refusal, ElementsAre(0, 1, 1, FloatEq(2.f / 3)));
  EXPECT_EQ(v.num_lines, 3);
  EXPECT_EQ(v.num_refused, 2);
}

TEST_F(ScorerTest, CutCompletion_ItsLastLineCounts) {
  const Verdict known = Score({"zero", "\n", "one"}, {0, 1}, {}, Edit::kAdd);
  EXPECT_THAT(known.phi_jaccard, ElementsAre(0, 0.5f, 1));
  const Verdict cut = Score({"zero", "\n", "ze"}, {0, 1}, {}, Edit::kAdd);
  EXPECT_THAT(cut.phi_jaccard, ElementsAre(0, 0.5f, 0.5f));
  EXPECT_THAT(cut.phi_refusal, ElementsAre(0, 0, 0.5f));
}

TEST_F(ScorerTest, TextBehindTheEnd_IsOfNoStep) {
  const Verdict v = Score({"one", "\n", "<end>", "two\n", "\n"}, {1, 2}, {}, Edit::kAdd);
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 1, -1, -1, -1));
  EXPECT_THAT(v.final_list, ElementsAre(1));
}

TEST_F(ScorerTest, TokenAcrossLines_IsOfTheStepOfItsFirstByte) {
  const Verdict v =
      Score({"zero", "\none", "\n", "four\nfive\n", "two\n", "<end>"}, {0}, {}, Edit::kAdd);
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 1, 2, 3, 5, -1));
  EXPECT_THAT(v.final_list, ElementsAre(0, 1, 2, 4, 5));
  EXPECT_EQ(v.phi.size(), 6u);
}

TEST_F(ScorerTest, TokenSegmentation_MovesPhiAtTheTokenThatEndsTheLine) {
  RewardOptions options;
  options.segmentation = "token";
  const Verdict v = Score({"ze", "ro", "\n", "one", "<end>"}, {0, 1}, {}, Edit::kAdd, options);
  EXPECT_THAT(v.phi, ElementsAre(0, 0, 0, 0.5f, 1));
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 2, 3, 4, -1));
}

TEST_F(ScorerTest, ListSegmentation_IsOneStep) {
  RewardOptions options;
  options.segmentation = "list";
  const Verdict v = Score({"zero", "\n", "one", "\n", "<end>"}, {0, 1}, {}, Edit::kAdd, options);
  EXPECT_THAT(v.phi, ElementsAre(0, 1));
  EXPECT_THAT(v.step_of_token, ElementsAre(1, 1, 1, 1, -1));
}

TEST_F(ScorerTest, EmptyTruthOrList_HasJaccardZero) {
  EXPECT_THAT(Score({"one", "\n"}, {}, {}, Edit::kAdd).phi_jaccard, ElementsAre(0, 0));
  EXPECT_THAT(Score({"one", "\n"}, {1}, {1}, Edit::kRemove).phi_jaccard, ElementsAre(1, 0));
}

TEST_F(ScorerTest, OutOfRange_NamesTheTask) {
  const Corpus corpus = DigitCorpus({{1}});
  const Scorer scorer(corpus, pieces_.tokenizer(), pieces_.end_id(), {});
  const auto message = [&](const ScoreRequest& request) {
    try {
      scorer.Score(request);
      return std::string("no error");
    } catch (const DataError& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(message({41, 1, Edit::kAdd, {}, {}}), HasSubstr("task 41"));
  EXPECT_THAT(message({42, 0, Edit::kAdd, {10}, {}}), HasSubstr("task 42"));
  EXPECT_THAT(message({43, 0, Edit::kAdd, {}, {{-1}}}), HasSubstr("task 43"));
  EXPECT_THAT(message({44, 0, static_cast<Edit>(2), {}, {}}), HasSubstr("task 44"));
}

TEST_F(ScorerTest, CorpusWithADrugOutOfRange_IsRefused) {
  const Corpus corpus = DigitCorpus({{1, 10}});
  EXPECT_THROW(Scorer(corpus, pieces_.tokenizer(), pieces_.end_id(), {}), DataError);
}

// An independent, slow account of one completion: byte by byte, with std::set and DdiGraph::Rate.
struct Account {
  std::vector<double> phi;
  std::vector<int> step_of_token;
};

class OracleTest : public ScorerTest, public ::testing::WithParamInterface<const char*> {
 protected:
  double Phi(const std::set<int32_t>& list, const std::set<int32_t>& truth, int lines,
             int refused) {
    std::vector<int32_t> common;
    std::set_intersection(list.begin(), list.end(), truth.begin(), truth.end(),
                          std::back_inserter(common));
    std::set<int32_t> all(list);
    all.insert(truth.begin(), truth.end());
    const double jaccard =
        list.empty() || truth.empty() ? 0 : double(common.size()) / double(all.size());
    return jaccard - options_.alpha * corpus_.ddi.Rate({list.begin(), list.end()}) -
           options_.beta * (lines == 0 ? 0 : double(refused) / lines);
  }

  // Returns phi after the first `num_lines` lines of the text.
  double PhiAfter(const std::vector<std::string>& lines, size_t num_lines,
                  const ScoreRequest& request) {
    std::set<int32_t> list(request.input.begin(), request.input.end());
    int refused = 0;
    for (size_t i = 0; i < num_lines; ++i) {
      const std::string key = NormalizeDrugName(lines[i]);
      int32_t drug = -1;
      for (int32_t d = 0; d < corpus_.drugs.size(); ++d) {
        if (NormalizeDrugName(corpus_.drugs.titles[d]) == key) drug = d;
      }
      if (drug < 0)
        ++refused;
      else if (request.edit == Edit::kAdd)
        list.insert(drug);
      else
        list.erase(drug);
    }
    const auto& truth = corpus_.visits[request.visit].drugs;
    return Phi(list, {truth.begin(), truth.end()}, static_cast<int>(num_lines), refused);
  }

  Account Explain(const ScoreRequest& request, const std::string& segmentation);

  RewardOptions options_;
  Corpus corpus_ = DigitCorpus({{0, 1, 2}, {5, 9}, {}, {1, 3, 4, 5, 9}});
};

Account OracleTest::Explain(const ScoreRequest& request, const std::string& segmentation) {
  std::string text;
  std::vector<size_t> begins, ends;  // first byte and one past the last byte of each token
  for (int32_t token : request.completions[0]) {
    if (token == pieces_.end_id()) break;
    begins.push_back(text.size());
    if (token != pieces_.empty_id()) text += kPieces[token];
    ends.push_back(text.size());
  }
  std::vector<std::string> lines;
  std::vector<size_t> line_ends;  // one past each line's last byte
  std::string open;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') open += text[i];
    if (text[i] != '\n' && i + 1 < text.size()) continue;
    lines.push_back(open);
    line_ends.push_back(i + 1);
    open.clear();
  }
  const auto line_of_byte = [&](size_t byte) {
    return std::upper_bound(line_ends.begin(), line_ends.end(), byte) - line_ends.begin();
  };
  Account account;
  account.step_of_token.assign(request.completions[0].size(), -1);
  account.phi.push_back(PhiAfter(lines, 0, request));
  if (segmentation == "token") {
    for (size_t t = 0; t < ends.size(); ++t) {
      const auto over = std::upper_bound(line_ends.begin(), line_ends.end(), ends[t]);
      account.phi.push_back(PhiAfter(lines, over - line_ends.begin(), request));
      account.step_of_token[t] = static_cast<int>(t) + 1;
    }
    return account;
  }
  const size_t chunk = segmentation == "list"   ? lines.size() + 1
                       : segmentation == "drug" ? 1
                                                : std::stoul(segmentation.substr(6));
  for (size_t first = 0; first < lines.size(); first += chunk) {
    account.phi.push_back(PhiAfter(lines, std::min(first + chunk, lines.size()), request));
  }
  for (size_t t = 0; t < begins.size(); ++t) {
    if (begins[t] < text.size()) {
      account.step_of_token[t] = static_cast<int>(line_of_byte(begins[t]) / chunk) + 1;
    }
  }
  return account;
}

TEST_P(OracleTest, RandomLists_AgreeAndTelescope) {
  options_.alpha = 0.7, options_.beta = 0.5;
  options_.segmentation = GetParam();
  const Scorer scorer(corpus_, pieces_.tokenizer(), pieces_.end_id(), options_);
  RandomStream random(5);
  for (int round = 0; round < 400; ++round) {
    ScoreRequest request{round,
                         static_cast<int32_t>(random.Below(4)),
                         random.Bernoulli(0.5) ? Edit::kAdd : Edit::kRemove,
                         {},
                         {{}}};
    for (int32_t drug = 0; drug < 10; ++drug) {
      if (random.Bernoulli(0.4)) request.input.push_back(drug);
    }
    for (uint64_t length = random.Below(24); length > 0; --length) {
      // Nearly every other token is a line break; now and then one ends the text.
      const uint64_t kind = random.Below(20);
      request.completions[0].push_back(
          kind < 9 ? 6 : static_cast<int32_t>(random.Below(kPieces.size() + (kind > 18 ? 2 : 0))));
    }
    const Verdict verdict = scorer.Score(request).at(0);
    const Account account = Explain(request, GetParam());
    ASSERT_EQ(verdict.phi.size(), account.phi.size()) << "round " << round;
    double sum = 0;
    for (size_t n = 0; n < account.phi.size(); ++n) {
      EXPECT_NEAR(verdict.phi[n], account.phi[n], 1e-6) << "round " << round << " step " << n;
      EXPECT_NEAR(verdict.phi[n],
                  verdict.phi_jaccard[n] - options_.alpha * verdict.phi_ddi[n] -
                      options_.beta * verdict.phi_refusal[n],
                  1e-6);
      if (n > 0) sum += double(verdict.phi[n]) - verdict.phi[n - 1];
    }
    EXPECT_NEAR(sum, verdict.reward, 1e-6) << "round " << round;
    EXPECT_THAT(verdict.step_of_token, Pointwise(::testing::Eq(), account.step_of_token))
        << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(Segmentations, OracleTest,
                         ::testing::Values("drug", "token", "chunk:1", "chunk:2", "chunk:5",
                                           "list"));

}  // namespace
}  // namespace flame
