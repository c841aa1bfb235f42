// The layouts of hospital tables. Each is one file of this folder, and one line of layouts.cpp.
#ifndef FLAME_DATA_HOSPITALS_LAYOUTS_H_
#define FLAME_DATA_HOSPITALS_LAYOUTS_H_

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/hospitals/hospital.h"
#include "data/options.h"

namespace flame {

// One table of a layout: where it is below data.root, and its name.
struct TableFile {
  std::string folder, stem;
};

struct Layout {
  std::string name;                   // data.hospital
  std::vector<TableFile> tables;      // all that are read, the optional ones too
  std::vector<std::string> mappings;  // tables of data.mappings that are read
  std::unique_ptr<Hospital> (*open)(const DataOptions& options);
  bool names_drugs = false;  // in words, so that SynonymsFile is read
};

// The layouts of data.hospital. `synth` is written in MIMIC-III's.
const std::vector<Layout>& Layouts();
// Throws UsageError on another name.
const Layout& LayoutOf(const std::string& hospital);

// The folder of the mappings: options.mappings, or mappings/ of options.root.
std::filesystem::path MappingsFolder(const DataOptions& options);

// options.drug_synonyms; if empty, drug_synonyms.csv of MappingsFolder if it is there, or the
// program's own file.
std::filesystem::path SynonymsFile(const DataOptions& options);

// Throws UsageError if options.icd10 asks for a crosswalk, which mimic4 alone has.
void RefuseIcd10Crosswalk(const DataOptions& options);

Layout Mimic3Layout(std::string name);  // mimic3.cpp
Layout Mimic4Layout();                  // mimic4.cpp
Layout EicuLayout();                    // eicu.cpp

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_LAYOUTS_H_
