#include "reward/potential.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace flame {
namespace {

using ::testing::ElementsAre;

// 130 drugs make sets span three words.
constexpr int32_t kDrugs = 130;

TEST(DrugSet, DrugsBeyondOneWord_AreKept) {
  DrugSet set(kDrugs, {0, 63, 64, 129});
  set.Erase(63);
  EXPECT_THAT(set.Drugs(), ElementsAre(0, 64, 129));
  EXPECT_EQ(set.Size(), 3);
  EXPECT_EQ(set.CommonWith(DrugSet(kDrugs, {64, 65, 129})), 2);
}

TEST(DrugSet, Fingerprint_IsOfTheSetAlone) {
  DrugSet set(kDrugs, {3, 64, 129});
  const int64_t before = set.Fingerprint();
  EXPECT_EQ(DrugSet(kDrugs, {129, 3, 64}).Fingerprint(), before);
  EXPECT_NE(DrugSet(kDrugs, {3, 64}).Fingerprint(), before);
  set.Erase(129);
  set.Insert(129);
  EXPECT_EQ(set.Fingerprint(), before);
  EXPECT_EQ(DrugSet(kDrugs, {}).Fingerprint(), 0);
}

TEST(Potential, Refusal_IsTheShareOfLinesThatNameNoDrug) {
  const std::vector<DrugSet> partners = HarmfulPartners(DdiGraph(4));
  const DrugSet truth(4, {0});
  Potential potential(partners, truth, {0, 3});
  EXPECT_EQ(potential.Terms().refusal, 0);
  potential.Apply(Edit::kAdd, -1);
  EXPECT_EQ(potential.Terms().refusal, 1);
  potential.Apply(Edit::kAdd, 1);
  potential.Apply(Edit::kRemove, 1);
  EXPECT_DOUBLE_EQ(potential.Terms().refusal, 1.0 / 3);
}

TEST(Potential, InputThatRepeatsADrug_CountsItOnce) {
  const std::vector<DrugSet> partners = HarmfulPartners(DdiGraph(4));
  const DrugSet truth(4, {0});
  const Potential potential(partners, truth, {0, 1, 1});
  EXPECT_EQ(potential.Terms().jaccard, 0.5);
}

TEST(Potential, ThousandsOfEdits_EqualTheSetsRecomputed) {
  RandomStream random(11);
  DdiGraph ddi(kDrugs);
  for (int i = 0; i < 1500; ++i) ddi.Add(random.Below(kDrugs), random.Below(kDrugs));
  std::vector<int32_t> true_drugs;
  for (int32_t drug = 0; drug < kDrugs; ++drug) {
    if (random.Bernoulli(0.15)) true_drugs.push_back(drug);
  }
  const DrugSet truth(kDrugs, true_drugs);
  const std::vector<DrugSet> partners = HarmfulPartners(ddi);
  Potential potential(partners, truth, {});
  std::set<int32_t> list;
  for (int i = 0; i < 5000; ++i) {
    const auto drug = static_cast<int32_t>(random.Below(kDrugs));
    const Edit edit = random.Bernoulli(0.5) ? Edit::kAdd : Edit::kRemove;
    potential.Apply(edit, drug);
    if (edit == Edit::kAdd)
      list.insert(drug);
    else
      list.erase(drug);
    int common = 0;
    for (int32_t d : list) common += truth.Has(d);
    const double jaccard =
        list.empty() ? 0 : double(common) / double(list.size() + true_drugs.size() - common);
    const PhiTerms terms = potential.Terms();
    ASSERT_NEAR(terms.jaccard, jaccard, 1e-12) << i;
    ASSERT_NEAR(terms.ddi, ddi.Rate({list.begin(), list.end()}), 1e-12) << i;
    ASSERT_EQ(terms.refusal, 0) << i;
  }
}

}  // namespace
}  // namespace flame
