#include "encoders/molecule/molecules.h"

#include <dlfcn.h>

#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/files/program_files.h"
#include "data/tables/codes.h"
#include "data/tables/csv_table.h"

namespace flame {
namespace {

ReadSmilesFunction* OpenRdkit() {
  const std::string path = (LibraryFolder() / "libflame_molecules.so").string();
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) {
    throw MachineError("molecules cannot be read: ", dlerror(),
                       "; expected a build with RDKit: install librdkit-dev and build again");
  }
  auto* read = reinterpret_cast<ReadSmilesFunction*>(dlsym(module, kReadSmiles));
  if (read == nullptr) throw MachineError(path, " has no ", kReadSmiles);
  return read;
}

}  // namespace

Molecules ReadMolecules(const std::filesystem::path& table) {
  static ReadSmilesFunction* const read = OpenRdkit();
  Molecules molecules;
  std::unordered_set<std::string> seen;
  std::string fault;
  CsvTable::OfFile(table, {"drug_id", "smiles"}).ForEachRowOfFilled([&](const CsvRow& row) {
    const std::string id = CanonicalId(row[0]);
    if (IsMissing(row[1])) return;
    if (IsMissing(row[0])) {
      ++molecules.unnamed;
      return;
    }
    if (seen.contains(id)) {
      molecules.doubled.push_back(id);
      return;
    }
    MoleculeGraph graph;
    read(std::string(row[1]), &graph, &fault);
    if (!fault.empty()) {
      molecules.refused.push_back(StrCat(id, ": ", fault));
      return;
    }
    seen.insert(id);
    molecules.ids.push_back(id);
    molecules.graphs.push_back(std::move(graph));
  });
  if (molecules.ids.empty()) {
    throw DataError(table.string(), ": no SMILES can be read",
                    molecules.refused.empty() ? "" : ", such as " + molecules.refused[0],
                    "; expected at least one");
  }
  return molecules;
}

}  // namespace flame
