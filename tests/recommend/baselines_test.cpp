#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "recommend/baselines/facts.h"
#include "recommend/baselines/logistic.h"
#include "recommend/baselines/neighbours.h"
#include "recommend/evaluation/rows.h"

namespace flame {
namespace {

using testing::ElementsAre;

Visit VisitOf(int32_t patient, std::vector<int32_t> diagnoses, std::vector<int32_t> drugs) {
  Visit visit;
  visit.patient = patient;
  visit.age = 50;
  visit.diagnoses = std::move(diagnoses);
  visit.drugs = std::move(drugs);
  return visit;
}

Corpus Hospital(std::vector<Visit> visits) {
  Corpus corpus;
  corpus.diagnoses = {{"a", "b", "c"}, {"A", "B", "C"}};
  corpus.procedures = {{"p"}, {"P"}};
  corpus.drugs = {{"DB1", "DB2", "DB3"}, {"Aspirin", "Warfarin", "Insulin"}};
  corpus.visits = std::move(visits);
  return corpus;
}

std::vector<int32_t> FirstVisits(int32_t count) {
  std::vector<int32_t> visits;
  for (int32_t i = 0; i < count; ++i) visits.push_back(i);
  return visits;
}

// Facts: 0 age, 1 man, 2 woman, 3..5 diagnoses, 6 procedure, 7..9 before, 10..12 home, 13..15
// allergies.
TEST(FactsOf, Visit_ByHand) {
  Visit second = VisitOf(0, {2, 0}, {});
  second.age = 73;
  second.gender = 'F';
  second.previous = 0;
  second.note = "Allergies: insulin\nMedications on Admission: Aspirin, warfarin 5 mg, aspirin";
  const Facts facts = FactsOf(Hospital({VisitOf(0, {}, {2, 1}), second}));
  EXPECT_EQ(facts.size, 16);
  EXPECT_TRUE(facts.visits[0].empty());
  std::vector<int32_t> indices;
  for (const Fact& fact : facts.visits[1]) indices.push_back(fact.index);
  EXPECT_THAT(indices, ElementsAre(0, 2, 3, 5, 8, 9, 10, 11, 15));
  EXPECT_DOUBLE_EQ(facts.visits[1][0].value, 2.3);
  EXPECT_DOUBLE_EQ(facts.visits[1][1].value, 1);
}

TEST(NamedDrugs, PreviousVisitAndNote_OnceEach) {
  Visit second = VisitOf(0, {}, {0});
  second.previous = 0;
  second.note = "Allergies: insulin\nMedications on Admission: insulin, warfarin 5 mg";
  const Corpus corpus = Hospital({VisitOf(0, {}, {2}), second});
  const DrugMentions names(corpus.drugs.titles);
  EXPECT_THAT(NamedDrugs(corpus, names, 1), ElementsAre(1, 2));
  EXPECT_TRUE(NamedDrugs(corpus, names, 0).empty());
}

// At the minimum every weight is the sum of the errors of its fact: w_j = -sum (p - y) x_j. The
// weights are read off the logits of visits with one fact.
TEST(LogisticLogits, Weights_AreThoseOfTheMinimum) {
  RandomStream random(3);
  std::vector<Visit> visits;
  constexpr int32_t kTrain = 200;
  for (int32_t i = 0; i < kTrain; ++i) {
    std::vector<int32_t> diagnoses, drugs;
    for (int32_t d = 0; d < 3; ++d) {
      if (random.Bernoulli(0.4)) diagnoses.push_back(d);
    }
    const bool has = !diagnoses.empty() && diagnoses[0] == 0;
    if (random.Bernoulli(has ? 0.8 : 0.2)) drugs.push_back(0);
    visits.push_back(VisitOf(i, diagnoses, drugs));
  }
  visits.push_back(VisitOf(kTrain, {}, {}));
  for (int32_t d = 0; d < 3; ++d) visits.push_back(VisitOf(kTrain, {d}, {}));
  const Corpus corpus = Hospital(visits);
  const std::vector<float> logits =
      LogisticLogits(corpus, FactsOf(corpus), FirstVisits(kTrain), FirstVisits(kTrain + 4));
  const auto logit = [&](int32_t visit) { return double{logits[visit * 3]}; };
  const double bias = logit(kTrain);
  EXPECT_GT(logit(kTrain + 1), bias + 1) << "diagnosis 0 calls for the drug";
  std::vector<double> sums(4, 0);
  for (int32_t i = 0; i < kTrain; ++i) {
    const double error = 1 / (1 + std::exp(-logit(i))) - (visits[i].drugs.empty() ? 0 : 1);
    sums[3] += error;
    for (const int32_t d : visits[i].diagnoses) sums[d] += error;
  }
  EXPECT_NEAR(bias, -sums[3], 1e-2);
  for (int32_t d = 0; d < 3; ++d) EXPECT_NEAR(logit(kTrain + 1 + d) - bias, -sums[d], 1e-2);
  EXPECT_NEAR(logits[1], std::log(0.5 / (kTrain + 0.5)), 1e-5) << "a drug that nobody has";
}

TEST(NeighbourShares, NearestVisits_WeighedBySimilarity) {
  // Visit 3 asks with {A, B}: visit 0 is equal, visit 1 shares one of two facts, visit 2 none.
  const Corpus corpus =
      Hospital({VisitOf(0, {0, 1}, {0}), VisitOf(1, {1, 2}, {0, 1}), VisitOf(2, {2}, {2}),
                VisitOf(3, {0, 1}, {}), VisitOf(4, {}, {})});
  const Facts facts = FactsOf(corpus);
  const auto tables = NeighbourShares(corpus, facts, {1, 2}, {0, 1, 2}, {3, 4});
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_NEAR(tables[0][1], 0, 1e-6) << "the nearest alone lacks it";
  EXPECT_NEAR(tables[0][3], 2 / 3.0, 1e-6) << "nothing is similar: all of the training visits";
  const std::vector<float>& shares = tables[1];
  EXPECT_NEAR(shares[0], 1, 1e-6);
  EXPECT_NEAR(shares[1], 0.5 / 1.5, 1e-6);
  EXPECT_NEAR(shares[2], 0, 1e-6);
  EXPECT_NEAR(shares[3], 2 / 3.0, 1e-6) << "nothing is similar: all of the training visits";
  EXPECT_NEAR(shares[5], 1 / 3.0, 1e-6);
}

// Fits see training visits alone, and cuts are chosen on validation visits: the truth of the visits
// to predict changes no prediction.
TEST(BaselineRows, TruthOfTestVisits_ChangesNoPrediction) {
  std::vector<Visit> visits;
  for (int32_t i = 0; i < 90; ++i) {
    Visit visit = VisitOf(i, {i % 3}, {i % 3});
    visit.split = i < 60 ? Split::kTrain : i < 75 ? Split::kValidation : Split::kTest;
    visits.push_back(visit);
  }
  Corpus honest = Hospital(visits), changed = honest;
  honest.ddi = changed.ddi = DdiGraph(3);
  for (int32_t i = 75; i < 90; ++i) changed.visits[i].drugs = {(i + 1) % 3, (i + 2) % 3};
  const auto rows_of = [](const Corpus& corpus) {
    const Field field(corpus, corpus.VisitsOf(Split::kTest), 100, 1);
    return BaselineRows(field);
  };
  const std::vector<Row> a = rows_of(honest), b = rows_of(changed);
  ASSERT_EQ(a.size(), 4u);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].values.at("drugs"), b[i].values.at("drugs")) << a[i].policy;
    if (a[i].policy != "logistic" && a[i].policy != "knn") continue;
    for (const double jaccard : a[i].values.at("jaccard")) EXPECT_EQ(jaccard, 1) << a[i].policy;
    for (const double jaccard : b[i].values.at("jaccard")) EXPECT_EQ(jaccard, 0) << b[i].policy;
  }
}

}  // namespace
}  // namespace flame
