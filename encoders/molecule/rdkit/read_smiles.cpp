// Part of libflame_molecules.so: SMILES to graphs by RDKit.
#include <GraphMol/Atom.h>
#include <GraphMol/Bond.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <RDGeneral/RDLog.h>

#include <exception>
#include <memory>

#include "encoders/molecule/graph.h"

namespace flame {
namespace {

int64_t ChiralityOf(const RDKit::Atom& atom) {
  switch (atom.getChiralTag()) {
    case RDKit::Atom::CHI_UNSPECIFIED:
      return 0;
    case RDKit::Atom::CHI_TETRAHEDRAL_CW:
      return 1;
    case RDKit::Atom::CHI_TETRAHEDRAL_CCW:
      return 2;
    default:
      return 3;
  }
}

// -1: a type that Mole-BERT does not know.
int64_t TypeOf(const RDKit::Bond& bond) {
  switch (bond.getBondType()) {
    case RDKit::Bond::SINGLE:
      return 0;
    case RDKit::Bond::DOUBLE:
      return 1;
    case RDKit::Bond::TRIPLE:
      return 2;
    case RDKit::Bond::AROMATIC:
      return 3;
    default:
      return -1;
  }
}

int64_t DirectionOf(const RDKit::Bond& bond) {
  switch (bond.getBondDir()) {
    case RDKit::Bond::NONE:
      return 0;
    case RDKit::Bond::ENDUPRIGHT:
      return 1;
    case RDKit::Bond::ENDDOWNRIGHT:
      return 2;
    default:
      return -1;
  }
}

std::string Read(const std::string& smiles, MoleculeGraph* graph) {
  const std::unique_ptr<RDKit::RWMol> molecule(RDKit::SmilesToMol(smiles));
  if (molecule == nullptr) return "not a SMILES";
  if (molecule->getNumAtoms() == 0) return "no atom";
  for (const RDKit::Atom* atom : molecule->atoms()) {
    if (atom->getAtomicNum() < 1 || atom->getAtomicNum() > 118) return "an atom of no element";
    graph->atoms.push_back({atom->getAtomicNum() - 1, ChiralityOf(*atom)});
  }
  for (const RDKit::Bond* bond : molecule->bonds()) {
    const Bond read = {static_cast<int64_t>(bond->getBeginAtomIdx()),
                       static_cast<int64_t>(bond->getEndAtomIdx()), TypeOf(*bond),
                       DirectionOf(*bond)};
    if (read.type < 0 || read.direction < 0) {
      return "a bond that is not single, double, triple or aromatic";
    }
    graph->bonds.push_back(read);
  }
  return "";
}

}  // namespace
}  // namespace flame

extern "C" __attribute__((visibility("default"))) void FlameReadSmiles(const std::string& smiles,
                                                                       flame::MoleculeGraph* graph,
                                                                       std::string* fault) {
  // RDKit writes what it refuses to stderr too.
  boost::logging::disable_logs("rdApp.*");
  graph->atoms.clear();
  graph->bonds.clear();
  try {
    *fault = flame::Read(smiles, graph);
  } catch (const std::exception& error) {
    *fault = error.what();
    if (fault->empty()) *fault = "RDKit refuses it";
  }
}
