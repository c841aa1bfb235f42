#include "data/hospitals/mappings.h"

#include <algorithm>
#include <cctype>

#include "data/hospitals/csv_table.h"
#include "data/hospitals/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

using Titles = std::unordered_map<std::string, std::string>;

std::string WithoutZeros(std::string_view code) {
  const size_t first = std::min(code.find_first_not_of('0'), code.size());
  return std::string(code.substr(first));
}

// Returns the form in which names are compared: lower case, no spaces, no hyphens.
std::string MatchKey(const std::string& name) {
  std::string key;
  for (unsigned char c : name) {
    if (c != ' ' && c != '-') key += static_cast<char>(std::tolower(c));
  }
  return key;
}

// Returns the first title of each code; `as_numbers` drops leading zeros of the codes.
Titles ReadTitles(const fs::path& folder, const std::string& stem, bool as_numbers) {
  Titles titles;
  CsvTable(folder, stem, {"ICD9_CODE", "SHORT_TITLE"}).ForEachRow([&](const CsvRow& row) {
    const std::string title = CollapseSpace(row[1]);
    if (title.empty()) return;
    titles.try_emplace(as_numbers ? WithoutZeros(row[0]) : std::string(row[0]), title);
  });
  return titles;
}

}  // namespace

NdcMap ReadNdcMap(const fs::path& folder) {
  NdcMap map;
  CsvTable(folder, "ndc9_to_drugbank", {"NDC", "drugbank_id"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        if (!row[1].empty()) map[std::string(row[0])].emplace_back(row[1]);
      });
  return map;
}

DrugBankIds ReadDrugsWithStructure(const fs::path& folder) {
  DrugBankIds drugs;
  CsvTable(folder, "drugbank_to_smiles", {"drug_id", "smiles"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        if (!row[1].empty()) drugs.emplace(row[0]);
      });
  return drugs;
}

std::vector<std::string> DrugNames(const fs::path& folder, const std::vector<std::string>& ids) {
  std::unordered_map<std::string, std::string> known;
  CsvTable(folder, "drugbank_to_name", {"drugbank_id", "drug_name"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        known.try_emplace(std::string(row[0]), CollapseSpace(row[1]));
      });
  std::vector<std::string> names;
  std::unordered_set<std::string> taken;
  for (const std::string& id : ids) {
    std::string name = known[id].empty() ? id : known[id];
    if (!taken.insert(MatchKey(name)).second) name += " (" + id + ")";
    taken.insert(MatchKey(name));
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> CodeTitles(const fs::path& folder, const fs::path& root, CodeKind kind,
                                    const std::vector<std::string>& codes) {
  const bool procedure = kind == CodeKind::kProcedure;
  const std::string own = procedure ? "D_ICD_PROCEDURES" : "D_ICD_DIAGNOSES";
  const std::string mapped = procedure ? "icd9_procedures" : "icd9_diagnoses";
  std::vector<Titles> sources;
  if (CsvTable::Exists(root, own)) sources.push_back(ReadTitles(root, own, false));
  sources.push_back(ReadTitles(folder, mapped, false));
  const Titles by_number = procedure ? ReadTitles(folder, mapped, true) : Titles();
  std::vector<std::string> titles;
  for (const std::string& code : codes) {
    const std::string* title = &code;
    const auto number = by_number.find(WithoutZeros(code));
    if (number != by_number.end()) title = &number->second;
    for (auto source = sources.rbegin(); source != sources.rend(); ++source) {
      const auto found = source->find(code);
      if (found != source->end()) title = &found->second;
    }
    titles.push_back(*title);
  }
  return titles;
}

DdiGraph ReadDdiPairs(const fs::path& folder, const std::string& file,
                      const std::vector<std::string>& ids) {
  std::unordered_map<std::string, int32_t> index;
  for (size_t i = 0; i < ids.size(); ++i) index[ids[i]] = static_cast<int32_t>(i);
  const fs::path path = folder / file;
  std::string stem = path.filename().string();
  for (const char* suffix : {".gz", ".csv"}) {
    if (stem.ends_with(suffix)) stem.resize(stem.size() - std::string_view(suffix).size());
  }
  DdiGraph graph(static_cast<int32_t>(ids.size()));
  CsvTable(path.parent_path(), stem, {"drug1", "drug2"}).ForEachRowOfFilled([&](const CsvRow& row) {
    const auto a = index.find(std::string(row[0]));
    const auto b = index.find(std::string(row[1]));
    if (a != index.end() && b != index.end()) graph.Add(a->second, b->second);
  });
  return graph;
}

}  // namespace flame
