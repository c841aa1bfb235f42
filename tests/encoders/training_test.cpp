#include "encoders/training.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "comm/local_communicator.h"
#include "encoders/micron.h"
#include "encoders/raremed.h"
#include "tests/base/fresh_folder.h"
#include "tests/encoders/small_corpus.h"

namespace flame {
namespace {

MicronOptions SmallMicron() {
  MicronOptions options;
  options.dim = 8;
  options.batch = 6;
  options.epochs = 30;
  options.optimizer.learning_rate = 1e-2;
  return options;
}

RaremedOptions SmallRaremed() {
  RaremedOptions options;
  options.dim = 16;
  options.layers = 2;
  options.heads = 2;
  options.hidden = 32;
  options.batch = 6;
  options.epochs = 30;
  options.optimizer.learning_rate = 5e-3;
  options.dropout = 0.1;
  return options;
}

template <class Encoder, class Options>
EncoderJob JobOf(const Corpus& corpus, const Options& options, Encoder* encoder,
                 const std::filesystem::path& folder) {
  EncoderJob job;
  job.label = "encoder";
  job.options = options;
  job.model = encoder;
  job.train = corpus.VisitsOf(Split::kTrain);
  job.validation = corpus.VisitsOf(Split::kValidation);
  job.seed = 4;
  job.folder = folder;
  job.config_sha256 = "digest";
  job.length = [&corpus](int32_t visit) { return Raremed::LengthOf(corpus.visits[visit]); };
  job.loss = [&corpus, encoder](const std::vector<int32_t>& visits, uint64_t seed) {
    return encoder->Loss(corpus, visits, seed);
  };
  return job;
}

double ValueAt(const at::Tensor& tensor, int64_t row, int64_t column) {
  return tensor[row][column].item<double>();
}

// Counts the drugs of validation visits that the encoder tells apart.
template <class Encoder>
double ShareRight(const Corpus& corpus, const Encoder& encoder) {
  const std::vector<int32_t> visits = corpus.VisitsOf(Split::kValidation);
  const at::Tensor logits = encoder.Logits(corpus, visits);
  int64_t right = 0;
  for (size_t i = 0; i < visits.size(); ++i) {
    const std::vector<int32_t>& drugs = corpus.visits[visits[i]].drugs;
    for (int32_t drug = 0; drug < 6; ++drug) {
      const bool given = std::find(drugs.begin(), drugs.end(), drug) != drugs.end();
      right += given == (ValueAt(logits, static_cast<int64_t>(i), drug) > 0);
    }
  }
  return static_cast<double>(right) / static_cast<double>(6 * visits.size());
}

TEST(TrainEncoder, Micron_LearnsWhichDrugGoesWithWhichCode) {
  const Corpus corpus = SmallCorpus(240);
  Micron micron = Micron::Random(CountsOf(corpus), SmallMicron(), 1);
  EXPECT_LT(ShareRight(corpus, micron), 0.8);
  TrainEncoder(JobOf(corpus, SmallMicron(), &micron, FreshFolder()), {});
  EXPECT_GT(ShareRight(corpus, micron), 0.9);
}

TEST(TrainEncoder, Raremed_LearnsWhichDrugGoesWithWhichCode) {
  const Corpus corpus = SmallCorpus(240);
  Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  EXPECT_LT(ShareRight(corpus, raremed), 0.8);
  TrainEncoder(JobOf(corpus, SmallRaremed(), &raremed, FreshFolder()), {});
  EXPECT_GT(ShareRight(corpus, raremed), 0.95);
}

TEST(TrainEncoder, PretrainingTasks_AreLearned) {
  const Corpus corpus = SmallCorpus(120);
  Raremed raremed = Raremed::Random(CountsOf(corpus), SmallRaremed(), 1);
  EncoderJob job = JobOf(corpus, SmallRaremed(), &raremed, FreshFolder());
  job.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    return raremed.ReconstructionLoss(corpus, visits, seed);
  };
  const SupervisedReport masking = TrainEncoder(job, {});
  EXPECT_LT(masking.last_loss, 0.7 * masking.first_loss);
  job.folder = FreshFolder();
  job.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    return raremed.MatchingLoss(corpus, visits, job.train, seed);
  };
  // Nothing tells which procedures belong to which diagnoses here.
  const SupervisedReport matching = TrainEncoder(job, {});
  EXPECT_GT(matching.steps, 0);
}

// A rank's share of a step is another one, so sums are rounded in another order.
TEST(TrainEncoder, ThreeLearners_AsOne) {
  const Corpus corpus = SmallCorpus(60);
  RaremedOptions options = SmallRaremed();
  options.epochs = 2;
  const auto train = [&](Communicator* learners, const std::filesystem::path& folder) {
    Raremed raremed = Raremed::Random(CountsOf(corpus), options, 1);
    EncoderJob job = JobOf(corpus, options, &raremed, folder);
    job.learners = learners;
    TrainEncoder(job, {});
    return raremed.parameters().at("cls_final.weight").detach().clone();
  };
  const at::Tensor alone = train(nullptr, FreshFolder());
  auto group = MakeLocalGroup(3);
  const std::filesystem::path folder = FreshFolder();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      EXPECT_TRUE(train(group[rank].get(), folder).allclose(alone, 1e-4, 1e-5)) << rank;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(TrainEncoder, StoppedAndStartedAgain_EndsInTheSameBits) {
  const Corpus corpus = SmallCorpus(60);
  MicronOptions options = SmallMicron();
  options.epochs = 4;
  options.patience = 0;
  Micron whole = Micron::Random(CountsOf(corpus), options, 1);
  TrainEncoder(JobOf(corpus, options, &whole, FreshFolder()), {});
  const std::filesystem::path folder = FreshFolder();
  Micron first = Micron::Random(CountsOf(corpus), options, 1);
  EncoderJob job = JobOf(corpus, options, &first, folder);
  int64_t updates = 0;
  job.loss = [&](const std::vector<int32_t>& visits, uint64_t seed) {
    if (seed != 0 && ++updates > 20) throw MachineError("the plug is pulled");
    return first.Loss(corpus, visits, seed);
  };
  EXPECT_THROW(TrainEncoder(job, {}), MachineError);
  Micron second = Micron::Random(CountsOf(corpus), options, 1);
  TrainEncoder(JobOf(corpus, options, &second, folder), {});
  for (const auto& [name, parameter] : whole.parameters()) {
    EXPECT_TRUE(parameter.equal(second.parameters().at(name))) << name;
  }
}

TEST(TrainEncoder, NoVisitToTrainOn_Fails) {
  Corpus corpus = SmallCorpus(6);
  for (Visit& visit : corpus.visits) visit.split = Split::kTest;
  Micron micron = Micron::Random(CountsOf(corpus), SmallMicron(), 1);
  EXPECT_THROW(TrainEncoder(JobOf(corpus, SmallMicron(), &micron, FreshFolder()), {}), DataError);
}

}  // namespace
}  // namespace flame
