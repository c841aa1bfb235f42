#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "encoders/molecule/pretraining.h"
#include "encoders/training.h"
#include "tests/base/fresh_folder.h"

namespace flame {
namespace {

// A ring of `size` atoms, carbon but for an atom of each other element in turn.
MoleculeGraph Ring(int64_t size) {
  const int64_t elements[] = {5, 5, 6, 5, 7, 5, 8};
  MoleculeGraph graph;
  for (int64_t i = 0; i < size; ++i) {
    graph.atoms.push_back({elements[i % 7], i % 3});
    graph.bonds.push_back({i, (i + 1) % size, i % 4, i % 3});
  }
  return graph;
}

std::vector<MoleculeGraph> Rings() {
  std::vector<MoleculeGraph> graphs;
  for (int64_t size = 3; size < 15; ++size) graphs.push_back(Ring(size));
  return graphs;
}

std::vector<const MoleculeGraph*> Pointers(const std::vector<MoleculeGraph>& graphs) {
  std::vector<const MoleculeGraph*> pointers;
  for (const MoleculeGraph& graph : graphs) pointers.push_back(&graph);
  return pointers;
}

EncoderJob JobOf(WholeModel* model, const NamedTensors& buffers,
                 const std::filesystem::path& folder) {
  EncoderJob job;
  job.label = "molecule";
  job.options.optimizer.learning_rate = 3e-3;
  job.options.optimizer.schedule = "constant";
  job.options.optimizer.warmup = 0;
  job.options.batch = 6;
  job.options.epochs = 40;
  job.model = model;
  for (int32_t i = 0; i < 12; ++i) job.train.push_back(i);
  job.folder = folder;
  job.config_sha256 = "digest";
  job.length = [](int32_t molecule) { return molecule + 3; };
  job.whole_batches = true;
  job.state = buffers;
  return job;
}

std::vector<const MoleculeGraph*> Some(const std::vector<MoleculeGraph>& graphs,
                                       const std::vector<int32_t>& numbers) {
  std::vector<const MoleculeGraph*> some;
  for (const int32_t number : numbers) some.push_back(&graphs[number]);
  return some;
}

const GinShape kShape = {16, 2};

TEST(Hide, AtomsAndAllTheirBonds) {
  const MoleculeGraph ring = Ring(10);
  RandomStream random(1);
  const HiddenAtoms hidden = Hide(ring, 0.3, &random);
  EXPECT_EQ(hidden.atoms.size(), 4u);  // floor(3) + 1
  for (size_t a = 0; a < 10; ++a) {
    const bool is_hidden = std::count(hidden.atoms.begin(), hidden.atoms.end(), a) > 0;
    EXPECT_EQ(hidden.graph.atoms[a].element == kHiddenElement, is_hidden) << a;
  }
  const auto touches = [&](const Bond& bond) {
    return std::count(hidden.atoms.begin(), hidden.atoms.end(), bond.from) +
               std::count(hidden.atoms.begin(), hidden.atoms.end(), bond.to) >
           0;
  };
  for (size_t b = 0; b < ring.bonds.size(); ++b) {
    EXPECT_EQ(hidden.graph.bonds[b].type == kHiddenBond, touches(ring.bonds[b])) << b;
  }
  const HiddenAtoms alone = Hide({{{5, 0}}, {}}, 0.15, &random);
  EXPECT_EQ(alone.atoms, std::vector<int64_t>{0});
}

TEST(AtomTokenizer, ElementsHaveTokensOfTheirOwn) {
  const std::vector<MoleculeGraph> graphs = Rings();
  const GraphBatch batch = BatchOf(Pointers(graphs));
  const at::Tensor tokens = AtomTokenizer::Random(kShape, 1).Tokens(batch);
  for (int64_t i = 0; i < tokens.size(0); ++i) {
    const int64_t element = batch.atoms[i][0].item<int64_t>();
    const int64_t token = tokens[i].item<int64_t>();
    const int64_t begin = element == 5 ? 0 : element == 6 ? 378 : element == 7 ? 434 : 489;
    const int64_t end = element == 5 ? 377 : element == 6 ? 433 : element == 7 ? 488 : 511;
    EXPECT_TRUE(token >= begin && token < end) << element << " " << token;
  }
}

TEST(Molecules, Pretraining_LearnsTokensAndTellsMoleculesApart) {
  const std::vector<MoleculeGraph> graphs = Rings();
  AtomTokenizer tokenizer = AtomTokenizer::Random(kShape, 1);
  EncoderJob first = JobOf(&tokenizer, tokenizer.buffers(), FreshFolder("tokenizer"));
  first.loss = [&](const std::vector<int32_t>& numbers, uint64_t) {
    return tokenizer.Loss(BatchOf(Some(graphs, numbers)))
        .expand({static_cast<int64_t>(numbers.size())});
  };
  const SupervisedReport tokens = TrainEncoder(first, {});
  EXPECT_LT(tokens.last_loss, 0.7 * tokens.first_loss);

  MoleculeEncoder encoder = MoleculeEncoder::Random(kShape, 1);
  EncoderJob second = JobOf(&encoder, encoder.buffers(), FreshFolder("encoder"));
  second.loss = [&](const std::vector<int32_t>& numbers, uint64_t seed) {
    return encoder.Loss(Some(graphs, numbers), numbers, tokenizer, seed)
        .expand({static_cast<int64_t>(numbers.size())});
  };
  const SupervisedReport views = TrainEncoder(second, {});
  EXPECT_LT(views.last_loss, 0.7 * views.first_loss);
  // Loaded from its file, the network gives the same vectors: the running statistics are kept.
  const std::filesystem::path file = FreshFolder("file") / "model.safetensors";
  encoder.Save(file);
  EXPECT_TRUE(MoleculeEncoder::Load(file, kShape)
                  .Vectors(Pointers(graphs))
                  .equal(encoder.Vectors(Pointers(graphs))));
  EXPECT_TRUE(encoder.UnknownVector().isfinite().all().item<bool>());
}

TEST(Molecules, TrainingStartedAgain_KeepsTheRunningStatistics) {
  const std::vector<MoleculeGraph> graphs = Rings();
  const std::filesystem::path folder = FreshFolder();
  const auto train = [&] {
    AtomTokenizer tokenizer = AtomTokenizer::Random(kShape, 1);
    EncoderJob job = JobOf(&tokenizer, tokenizer.buffers(), folder);
    job.options.epochs = 3;
    job.loss = [&](const std::vector<int32_t>& numbers, uint64_t) {
      return tokenizer.Loss(BatchOf(Some(graphs, numbers)))
          .expand({static_cast<int64_t>(numbers.size())});
    };
    TrainEncoder(job, {});
    return tokenizer;
  };
  const AtomTokenizer once = train(), again = train();
  for (const auto& [name, buffer] : once.buffers()) {
    EXPECT_TRUE(buffer.equal(again.buffers().at(name))) << name;
    EXPECT_FALSE(buffer.equal(NewGinBuffers("model.", kShape).at(name))) << name;
  }
}

TEST(MeanOfAtoms, OfEachMolecule) {
  const std::vector<MoleculeGraph> graphs = {Ring(3), Ring(5)};
  const GraphBatch batch = BatchOf(Pointers(graphs));
  const at::Tensor atoms = batch.owners.to(at::kFloat).unsqueeze(1) + 1;
  const at::Tensor means = MeanOfAtoms(atoms, batch);
  EXPECT_EQ(means[0][0].item<float>(), 1);
  EXPECT_EQ(means[1][0].item<float>(), 2);
}

}  // namespace
}  // namespace flame
