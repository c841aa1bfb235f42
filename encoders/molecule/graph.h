// A molecule as Mole-BERT reads it (Xia et al. 2023; the authors' code,
// github.com/junxia97/Mole-BERT).
#ifndef FLAME_ENCODERS_MOLECULE_GRAPH_H_
#define FLAME_ENCODERS_MOLECULE_GRAPH_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flame {

struct Atom {
  int64_t element = 0;    // atomic number - 1: 0..117
  int64_t chirality = 0;  // 0 unspecified, 1 clockwise, 2 counter-clockwise, 3 other
};
struct Bond {
  int64_t from = 0, to = 0;  // atoms
  int64_t type = 0;          // 0 single, 1 double, 2 triple, 3 aromatic
  int64_t direction = 0;     // 0 none, 1 up and right, 2 down and right
};
struct MoleculeGraph {
  std::vector<Atom> atoms;
  std::vector<Bond> bonds;  // each bond once
};

// The function that libflame_molecules.so exports: the library over RDKit, opened with dlopen when
// molecules are read. Fills `graph` from a SMILES, or says in `fault` why it cannot.
using ReadSmilesFunction = void(const std::string& smiles, MoleculeGraph* graph,
                                std::string* fault);
constexpr char kReadSmiles[] = "FlameReadSmiles";

}  // namespace flame

#endif  // FLAME_ENCODERS_MOLECULE_GRAPH_H_
