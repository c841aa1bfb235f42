// Reads a synthetic hospital back from disk.
#ifndef FLAME_TESTS_DATA_SYNTH_SYNTH_HOSPITAL_H_
#define FLAME_TESTS_DATA_SYNTH_SYNTH_HOSPITAL_H_

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/synth/synth.h"
#include "data/tables/csv_table.h"

namespace flame::synth_test {

namespace fs = std::filesystem;

// A folder of this process, removed at the end.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(fs::temp_directory_path() / (name + "-" + std::to_string(getpid()))) {
    fs::remove_all(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline std::string Bytes(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

using Rows = std::vector<std::vector<std::string>>;
inline Rows ReadRows(const fs::path& folder, const std::string& stem,
                     const std::vector<std::string>& columns) {
  Rows rows;
  CsvTable(folder, stem, columns).ForEachRow([&](const CsvRow& row) {
    std::vector<std::string> cells;
    for (size_t i = 0; i < columns.size(); ++i) cells.emplace_back(row[i]);
    rows.push_back(std::move(cells));
  });
  return rows;
}

// Returns the lines of `text` after the line `heading` up to the next empty line.
inline std::vector<std::string> Section(const std::string& text, const std::string& heading) {
  std::vector<std::string> lines;
  size_t at = text.find(heading + "\n");
  if (at == std::string::npos) return lines;
  at += heading.size() + 1;
  while (at < text.size() && text[at] != '\n') {
    const size_t end = text.find('\n', at);
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

// Splits "Metoprolol, Warfarin." into names.
inline std::set<std::string> SplitNames(std::string line) {
  std::set<std::string> names;
  if (!line.empty() && line.back() == '.') line.pop_back();
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find(", ", at), line.size());
    names.insert(line.substr(at, end - at));
    at = end + 2;
  }
  return names;
}

// The contents of the tables, by HADM_ID unless a comment says otherwise.
struct Tables {
  std::map<std::string, std::string> generic_name;     // by DrugBank id
  std::map<std::string, std::string> drugbank;         // by 9 digits of an NDC
  std::map<std::string, std::set<std::string>> drugs;  // generic names
  std::map<std::string, std::string> summary;          // the discharge summary
};

inline Tables ReadTables(const fs::path& folder) {
  Tables tables;
  for (const auto& row :
       ReadRows(folder / "mappings", "drugbank_to_name", {"drugbank_id", "drug_name"})) {
    tables.generic_name[row[0]] = row[1];
  }
  for (const auto& row :
       ReadRows(folder / "mappings", "ndc9_to_drugbank", {"NDC", "drugbank_id"})) {
    tables.drugbank[row[0]] = row[1];
  }
  for (const auto& row : ReadRows(folder, "PRESCRIPTIONS", {"HADM_ID", "DRUG_TYPE", "NDC"})) {
    if (row[1] != "MAIN" || row[2].size() != 11) continue;
    tables.drugs[row[0]].insert(tables.generic_name[tables.drugbank[row[2].substr(0, 9)]]);
  }
  for (const auto& row : ReadRows(folder, "NOTEEVENTS", {"HADM_ID", "CATEGORY", "TEXT"})) {
    if (row[1] == "Discharge summary") tables.summary[row[0]] = row[2];
  }
  return tables;
}

}  // namespace flame::synth_test

#endif  // FLAME_TESTS_DATA_SYNTH_SYNTH_HOSPITAL_H_
