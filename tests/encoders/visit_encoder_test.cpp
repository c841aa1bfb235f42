#include "encoders/visit_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "encoders/dropout.h"
#include "encoders/long_tensor.h"
#include "encoders/losses.h"
#include "encoders/micron.h"
#include "encoders/raremed.h"
#include "tests/base/fresh_folder.h"
#include "tests/encoders/small_corpus.h"

namespace flame {
namespace {

using testing::HasSubstr;

RaremedOptions SmallRaremed() {
  RaremedOptions options;
  options.dim = 8;
  options.layers = 2;
  options.heads = 2;
  options.hidden = 12;
  return options;
}

// Neither padding nor the others of a batch change a visit's loss, with dropout too.
template <class Encoder>
void ExpectEachAsAlone(const Corpus& corpus, const Encoder& encoder) {
  std::vector<int32_t> all(corpus.visits.size());
  std::iota(all.begin(), all.end(), 0);
  for (const uint64_t seed : {0, 77}) {
    const at::Tensor together = encoder.Loss(corpus, all, seed).detach();
    std::vector<at::Tensor> alone;
    for (const int32_t visit : all) alone.push_back(encoder.Loss(corpus, {visit}, seed).detach());
    EXPECT_TRUE(together.allclose(at::cat(alone), 1e-4, 1e-5)) << seed;
  }
  EXPECT_FALSE(encoder.Loss(corpus, all, 77).allclose(encoder.Loss(corpus, all, 78)));
}

TEST(VisitEncoder, BatchOfVisits_EachAsAlone) {
  const Corpus corpus = SmallCorpus(12);
  ExpectEachAsAlone(corpus, Micron::Random(CountsOf(corpus), MicronOptions(), 1));
  ExpectEachAsAlone(corpus, Raremed::Random(CountsOf(corpus), SmallRaremed(), 1));
}

// Visits of a patient can be in two splits.
TEST(VisitEncoder, OtherSplitsVisits_DoNotReachALoss) {
  Corpus corpus = SmallCorpus(12);
  corpus.visits[3].split = Split::kTest;  // the visit before visit 4
  const Micron micron = Micron::Random(CountsOf(corpus), MicronOptions(), 1);
  const Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  const at::Tensor of_micron = micron.Loss(corpus, {4, 5}, 0).detach();
  const at::Tensor of_raremed = raremed.Loss(corpus, {4, 5}, 0).detach();
  corpus.visits[3].drugs = {0, 5};
  corpus.visits[3].diagnoses = {8};
  EXPECT_TRUE(micron.Loss(corpus, {4, 5}, 0).equal(of_micron));
  EXPECT_TRUE(raremed.Loss(corpus, {4, 5}, 0).equal(of_raremed));
  corpus.visits[3].split = Split::kTrain;
  EXPECT_FALSE(micron.Loss(corpus, {4, 5}, 0).equal(of_micron));
}

TEST(VisitEncoder, WeightThatIsNoNumber_RefusedWithItsFileAndName) {
  const std::filesystem::path folder = FreshFolder();
  const Corpus corpus = SmallCorpus(3);
  Micron micron = Micron::Random(CountsOf(corpus), MicronOptions(), 1);
  at::Tensor one = micron.parameters().begin()->second;
  {
    const at::NoGradGuard no_grad;
    one.flatten()[0] = std::numeric_limits<float>::quiet_NaN();
  }
  micron.Save(folder / "micron.safetensors");
  try {
    Micron::Load(folder / "micron.safetensors", CountsOf(corpus), MicronOptions());
    ADD_FAILURE() << "nothing was thrown";
  } catch (const DataError& failure) {
    EXPECT_THAT(failure.what(), HasSubstr("micron.safetensors: '" +
                                          micron.parameters().begin()->first + "' has a value"));
  }
}

// A corpus prepared onto another one has codes that the encoder never saw.
TEST(VisitEncoder, UnknownCodes_AreLeftOut) {
  Corpus corpus = SmallCorpus(12);
  const Micron micron = Micron::Random(CountsOf(corpus), MicronOptions(), 1);
  const Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  const at::Tensor of_micron = micron.Logits(corpus, {4, 5});
  const at::Tensor of_raremed = raremed.Logits(corpus, {4, 5});
  corpus.diagnoses.first_unknown = corpus.diagnoses.size();
  corpus.diagnoses.codes.emplace_back("new");
  corpus.visits[4].diagnoses.insert(corpus.visits[4].diagnoses.begin(), 9);
  EXPECT_TRUE(micron.Logits(corpus, {4, 5}).equal(of_micron));
  EXPECT_TRUE(raremed.Logits(corpus, {4, 5}).equal(of_raremed));
}

TEST(VisitEncoder, VisitWithoutCodes_HasALossAndAVector) {
  Corpus corpus = SmallCorpus(3);
  for (Visit& visit : corpus.visits) visit.diagnoses = visit.procedures = {};
  const Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  EXPECT_TRUE(raremed.Vectors(corpus, {0, 1}).isfinite().all().item<bool>());
  const Micron micron = Micron::Random(CountsOf(corpus), MicronOptions(), 1);
  EXPECT_TRUE(micron.Loss(corpus, {0, 1}, 3).isfinite().all().item<bool>());
}

TEST(Raremed, VeryManyCodes_TheFirstAreRead) {
  Corpus corpus = SmallCorpus(3);
  for (int i = 0; i < 3000; ++i) corpus.visits[0].procedures.push_back(i % 4);
  const Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  EXPECT_TRUE(raremed.Vectors(corpus, {0}).isfinite().all().item<bool>());
}

TEST(DropOut, ShareAndScale) {
  const at::Tensor rows = LongTensor({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const at::Tensor ones = at::ones({10, 1000}, at::kFloat);
  const at::Tensor dropped = DropOut(ones, 0.3, 5, 0, rows);
  EXPECT_NEAR(dropped.mean().item<double>(), 1, 0.02);
  EXPECT_NEAR((dropped == 0).to(at::kFloat).mean().item<double>(), 0.3, 0.02);
  EXPECT_FALSE(dropped.equal(DropOut(ones, 0.3, 5, 1, rows)));
  EXPECT_TRUE(dropped.equal(DropOut(ones, 0.3, 5, 0, rows)));
}

// Expected numbers by hand: drugs 0 and 1 harm each other; probabilities 0.5, 0.25, 1.
TEST(DdiSum, PairsInBothOrders) {
  DdiGraph graph(3);
  graph.Add(0, 1);
  at::Tensor p = at::ones({1, 3}, at::kFloat);
  p[0][0] = 0.5;
  p[0][1] = 0.25;
  EXPECT_NEAR(DdiSum(p, DdiMatrix(graph)).item<double>(), 2 * 0.125, 1e-7);
}

}  // namespace
}  // namespace flame
