// Times the encoding of every molecule of a table, from SMILES to vectors, and a training step of
// the graph network, as one JSON object:
//   ninja -C build molecule_bench && OMP_NUM_THREADS=2 build/bench/molecule_bench SMILES.csv
#include <ATen/core/Tensor.h>
#include <ATen/ops/sum.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/clock.h"
#include "encoders/molecule/molecules.h"
#include "encoders/molecule/pretraining.h"
#include "launch/run/tensor_memory.h"

int main(int argc, char** argv) {
  using flame::Clock;
  if (argc != 2) return 2;
  try {
    flame::SetUpHeap();
    const auto start = Clock::now();
    const flame::Molecules molecules = flame::ReadMolecules(argv[1]);
    const double read = flame::SecondsSince(start);
    const flame::MoleculeEncoder encoder = flame::MoleculeEncoder::Random({}, 1);
    std::vector<const flame::MoleculeGraph*> graphs;
    for (const flame::MoleculeGraph& graph : molecules.graphs) graphs.push_back(&graph);
    const auto encoding = Clock::now();
    encoder.Vectors(graphs);
    const double encode = flame::SecondsSince(encoding);
    const flame::AtomTokenizer tokenizer = flame::AtomTokenizer::Random({}, 1);
    graphs.resize(std::min<size_t>(graphs.size(), 256));
    std::vector<int32_t> numbers(graphs.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    double step = 0;
    for (int i = 0; i < 3; ++i) {
      const auto training = Clock::now();
      encoder.Loss(graphs, numbers, tokenizer, 1 + i).backward();
      step = flame::SecondsSince(training);
    }
    std::cout << nlohmann::json{{"molecules", molecules.ids.size()},
                                {"molecules_read_seconds", read},
                                {"molecules_encode_seconds", encode},
                                {"molecules_step_seconds", step}}
              << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
