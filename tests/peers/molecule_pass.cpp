// molecule_pass features TABLE.csv
//   prints a JSON line for each molecule: {"id", "atoms": [[element, chirality]], "bonds": [[from,
//   to, type, direction]]}, then {"refused": [texts]}
// molecule_pass gin TABLE.csv WEIGHTS.safetensors OUT.safetensors DIM LAYERS
//   writes "vectors" [molecules, dim] of the network with its running statistics, and, of a pass
//   that normalises by the batch, "trained" [molecules, dim], the gradient of sum of squares of
//   "trained", "gradient.NAME", and the updated buffers, "buffer.NAME"
#include <ATen/TensorOperators.h>
#include <ATen/ops/sum.h>

#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/files/safetensors.h"
#include "encoders/molecule/molecules.h"
#include "encoders/molecule/pretraining.h"

namespace flame {
namespace {

void PrintFeatures(const char* table) {
  const Molecules molecules = ReadMolecules(table);
  for (size_t i = 0; i < molecules.ids.size(); ++i) {
    nlohmann::json atoms = nlohmann::json::array(), bonds = nlohmann::json::array();
    for (const Atom& atom : molecules.graphs[i].atoms) {
      atoms.push_back({atom.element, atom.chirality});
    }
    for (const Bond& bond : molecules.graphs[i].bonds) {
      bonds.push_back({bond.from, bond.to, bond.type, bond.direction});
    }
    std::cout << nlohmann::json{{"id", molecules.ids[i]}, {"atoms", atoms}, {"bonds", bonds}}
              << "\n";
  }
  std::cout << nlohmann::json{{"refused", molecules.refused}} << "\n";
}

void RunGin(char** argv) {
  const Molecules molecules = ReadMolecules(argv[2]);
  const GinShape shape = {std::atoll(argv[5]), std::atoll(argv[6])};
  const MoleculeEncoder encoder = MoleculeEncoder::Load(argv[3], shape);
  std::vector<const MoleculeGraph*> graphs;
  for (const MoleculeGraph& graph : molecules.graphs) graphs.push_back(&graph);
  NamedTensors out;
  out["vectors"] = encoder.Vectors(graphs);
  const GraphBatch batch = BatchOf(graphs);
  const at::Tensor trained = MeanOfAtoms(
      Gin("", shape, encoder.parameters(), encoder.buffers(), /*training=*/true).Atoms(batch),
      batch);
  trained.square().sum().backward();
  out["trained"] = trained.detach();
  for (const auto& [name, parameter] : encoder.parameters()) {
    if (parameter.grad().defined()) out["gradient." + name] = parameter.grad();
  }
  for (const auto& [name, buffer] : encoder.buffers()) out["buffer." + name] = buffer;
  WriteTensors(out, argv[4]);
}

}  // namespace
}  // namespace flame

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::string(argv[1]) == "features") {
      flame::PrintFeatures(argv[2]);
    } else if (argc == 7) {
      flame::RunGin(argv);
    } else {
      return 2;
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
