// The structures of drugs, from a table of SMILES.
#ifndef FLAME_ENCODERS_MOLECULE_MOLECULES_H_
#define FLAME_ENCODERS_MOLECULE_MOLECULES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "encoders/molecule/graph.h"

namespace flame {

struct Molecules {
  std::vector<std::string> ids;  // no repeats
  std::vector<MoleculeGraph> graphs;
  std::vector<std::string> refused;  // "DB00006: why", of the SMILES that RDKit refuses
  std::vector<std::string> doubled;  // ids of further rows of a drug that has a graph already
  int64_t unnamed = 0;               // rows with a SMILES and no id
};

// Reads the table's columns drug_id and smiles (drugbank_to_smiles.csv), in the order of its rows.
// The first of several rows of a drug whose SMILES can be read counts. Throws DataError if no
// SMILES can be read, MachineError if the program was built without RDKit.
Molecules ReadMolecules(const std::filesystem::path& table);

}  // namespace flame

#endif  // FLAME_ENCODERS_MOLECULE_MOLECULES_H_
