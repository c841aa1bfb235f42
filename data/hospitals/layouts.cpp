#include "data/hospitals/layouts.h"

#include <algorithm>

#include "base/error.h"
#include "base/files/program_files.h"

namespace flame {

const std::vector<Layout>& Layouts() {
  static const std::vector<Layout> layouts = {Mimic3Layout("synth"), Mimic3Layout("mimic3"),
                                              Mimic4Layout(), EicuLayout()};
  return layouts;
}

const Layout& LayoutOf(const std::string& hospital) {
  const auto found = std::find_if(Layouts().begin(), Layouts().end(),
                                  [&](const Layout& layout) { return layout.name == hospital; });
  if (found != Layouts().end()) return *found;
  std::string names;
  for (const Layout& layout : Layouts()) names += (names.empty() ? "" : ", ") + layout.name;
  throw UsageError("data.hospital is '", hospital, "'; expected one of ", names);
}

void RefuseIcd10Crosswalk(const DataOptions& options) {
  if (options.icd10 == "keep") return;
  throw UsageError("data.icd10 is ", options.icd10, ", which data.hospital ", options.hospital,
                   " does not read; expected keep, or the tables of mimic4");
}

std::filesystem::path SynonymsFile(const DataOptions& options) {
  if (!options.drug_synonyms.empty()) return std::filesystem::absolute(options.drug_synonyms);
  const std::filesystem::path own = MappingsFolder(options) / "drug_synonyms.csv";
  return std::filesystem::exists(own) ? own : ShareFolder() / "configs" / "drug_synonyms.csv";
}

std::filesystem::path MappingsFolder(const DataOptions& options) {
  return options.mappings.empty() ? options.root / "mappings" : options.mappings;
}

}  // namespace flame
