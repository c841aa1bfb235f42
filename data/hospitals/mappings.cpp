#include "data/hospitals/mappings.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/log.h"
#include "data/tables/coverage_counter.h"
#include "data/tables/csv_table.h"
#include "data/tables/distinct_names.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

std::string WithoutZeros(std::string_view code) {
  const size_t first = std::min(code.find_first_not_of('0'), code.size());
  return std::string(code.substr(first));
}

// Returns the titles by their codes without leading zeros.
Titles ByNumber(const Titles& titles) {
  Titles by_number;
  // "0159" comes before "159", so the choice between them does not depend on the order of a hash.
  for (const auto& [code, title] : std::map(titles.begin(), titles.end())) {
    by_number.try_emplace(WithoutZeros(code), title);
  }
  return by_number;
}

// Returns the title in the first of `sources` that has the code; null if none has.
const std::string* TitleIn(const std::vector<Titles>& sources, const std::string& code) {
  for (const Titles& source : sources) {
    const auto found = source.find(code);
    if (found != source.end()) return &found->second;
  }
  return nullptr;
}

// Returns the title of a code that lost one or two zeros in front; null if there is none or both
// readings have one.
const std::string* TitleOfPadded(const std::vector<Titles>& sources, const std::string& code) {
  const std::string* one = TitleIn(sources, "0" + code);
  const std::string* two = TitleIn(sources, "00" + code);
  if (one != nullptr && two != nullptr) return nullptr;
  return one != nullptr ? one : two;
}

bool IsDrugBankId(std::string_view text) {
  const std::string id = CanonicalId(text);
  return id.size() > 2 && id.starts_with("DB") &&
         id.find_first_not_of("0123456789", 2) == std::string::npos;
}

// Diagnoses that lost the zeros in front of their codes, in one table or the other.
class LostZeros {
 public:
  // `codes`: the hospital's.
  explicit LostZeros(const std::vector<std::string>& codes)
      : kept_(std::any_of(codes.begin(), codes.end(),
                          [](const std::string& code) { return code.starts_with('0'); })) {}
  void See(const std::vector<Titles>& sources, const std::string& code, const std::string* title) {
    const std::string other = code.starts_with('0') ? WithoutZeros(code) : "0" + code;
    const std::string* second = TitleIn(sources, other);
    if (second == nullptr) return;
    if (code.starts_with('0') && title == nullptr && ++without_ == 1) first_ = code;
    if (!kept_ && title != nullptr && ++doubtful_ == 1) {
      first_ = StrCat(code, " (", *title, ") for ", other, " (", *second, ")");
    }
  }
  void Warn() const {
    if (without_ > 0) {
      LogWarning("prepare: ", without_, " diagnoses such as ", first_, " have a title only ",
                 "without their leading zero, which may be another code's, and get none; expected ",
                 "titles of codes such as 0389");
    } else if (doubtful_ > 0) {
      LogWarning("prepare: DIAGNOSES_ICD: no code begins with 0, so its codes may have lost their ",
                 "zeros; ", doubtful_, " titles may then be wrong, such as that of ", first_);
    }
  }

 private:
  bool kept_;
  int64_t without_ = 0, doubtful_ = 0;
  std::string first_;
};

}  // namespace

Titles ReadIcd9Titles(const fs::path& folder, const std::string& stem, CodeKind kind) {
  std::vector<std::string> written, texts;
  CsvTable(folder, stem, {"ICD9_CODE", "SHORT_TITLE"}).ForEachRow([&](const CsvRow& row) {
    const std::string title = CollapseSpace(row[1]);
    if (IsMissing(title)) return;
    written.emplace_back(row[0]);
    texts.push_back(title);
  });
  const std::vector<std::string> codes = CanonicalIcd9(kind, written);
  if (codes != written) {
    const size_t i =
        std::mismatch(codes.begin(), codes.end(), written.begin()).first - codes.begin();
    LogWarning("prepare: ", stem, ": its codes are not written as in MIMIC; they were repaired, ",
               "such as '", written[i], "' to '", codes[i], "'");
  }
  Titles titles;
  int64_t contradictions = 0;
  for (const bool exact : {true, false}) {
    for (size_t i = 0; i < codes.size(); ++i) {
      if ((codes[i] == written[i]) != exact) continue;
      const auto [entry, added] = titles.try_emplace(codes[i], texts[i]);
      if (!added && entry->second != texts[i]) ++contradictions;
    }
  }
  if (contradictions > 0) {
    LogWarning("prepare: ", stem, ": ", contradictions,
               " rows give a code another SHORT_TITLE than ", "another row, whose title is taken");
  }
  return titles;
}

NdcMap ReadNdcMap(const fs::path& folder) {
  NdcMap map;
  CsvTable(folder, "ndc9_to_drugbank", {"NDC", "drugbank_id"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        const std::string drug = CanonicalId(row[1]);
        if (drug.empty()) return;
        const auto ndc = Ndc9OfKey(row[0]);
        if (!ndc) row.Fail(0, "the first 9 of an NDC's 11 digits, such as 000734580");
        map[*ndc].push_back(drug);
      });
  return map;
}

DrugBankIds ReadDrugsWithStructure(const fs::path& folder) {
  DrugBankIds drugs;
  CsvTable(folder, "drugbank_to_smiles", {"drug_id", "smiles"})
      .ForEachRowOfFilled([&](const CsvRow& row) {
        if (!IsMissing(row[1])) drugs.insert(CanonicalId(row[0]));
      });
  return drugs;
}

std::vector<std::string> DrugNames(const fs::path& folder, const std::vector<std::string>& ids,
                                   Coverage* coverage) {
  std::unordered_map<std::string, std::string> known;
  int64_t contradictions = 0;
  std::string first;
  const CsvTable table(folder, "drugbank_to_name", {"drugbank_id", "drug_name"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const std::string name = CollapseSpace(row[1]);
    if (IsMissing(name)) return;
    const auto [entry, added] = known.try_emplace(CanonicalId(row[0]), name);
    if (added || entry->second == name) return;
    if (++contradictions == 1) first = entry->first;
  });
  if (contradictions > 0) {
    LogWarning("prepare: ", table.path(), ": ", contradictions, " rows give a drug such as ", first,
               " another name than an earlier row, whose name is taken");
  }
  std::vector<std::string> names;
  CoverageCounter counter("drugs with a name", "DrugBank ids such as DB00316", table.path());
  for (const std::string& id : ids) {
    std::string name = known[id];
    if (name.empty()) {
      counter.AddMiss(id);
      name = id;
    } else {
      counter.AddMatch(/*repaired=*/false);
    }
    names.push_back(std::move(name));
  }
  MakeDistinct(ids, &names);
  *coverage = counter.Finish();
  return names;
}

std::vector<std::string> CodeTitles(const fs::path& folder, const OwnTitles& own, CodeKind kind,
                                    const std::vector<std::string>& codes, Coverage* coverage) {
  const bool procedure = kind == CodeKind::kProcedure;
  const std::string mapped = procedure ? "icd9_procedures" : "icd9_diagnoses";
  const Titles last = ReadIcd9Titles(folder, mapped, kind);
  const std::vector<Titles> sources = {own.first, last, own.fallback};
  const std::vector<Titles> by_number = {procedure ? ByNumber(last) : Titles()};
  CoverageCounter counter(StrCat(procedure ? "procedures" : "diagnoses", " with a title"),
                          StrCat("ICD-9 codes such as ", procedure ? "3893" : "4019"),
                          StrCat(mapped, ".csv, which has codes such as '",
                                 last.empty() ? "" : last.begin()->first, "'"));
  LostZeros zeros(codes);
  std::vector<std::string> titles;
  for (const std::string& code : codes) {
    const std::string* title = TitleIn(sources, code);
    const bool exact = title != nullptr;
    const bool icd9 = !code.starts_with(kIcd10);
    if (!exact && procedure && icd9) title = TitleIn(by_number, WithoutZeros(code));
    if (!procedure && icd9) zeros.See(sources, code, title);
    if (!exact && !procedure && icd9) title = TitleOfPadded(sources, code);
    if (title == nullptr) {
      counter.AddMiss(code);
    } else {
      // The procedures' table is known to have lost its zeros.
      counter.AddMatch(/*repaired=*/!exact && !procedure);
    }
    titles.push_back(title == nullptr ? code : *title);
  }
  *coverage = counter.Finish();
  zeros.Warn();
  return titles;
}

void ToIcd9(const fs::path& folder, CodeKind kind, CodeTable* table, FunnelLog* funnel) {
  const bool procedure = kind == CodeKind::kProcedure;
  const std::string stem = procedure ? "icd10_to_icd9_procedures" : "icd10_to_icd9_diagnoses";
  std::vector<std::string> from, to;
  CsvTable(folder, stem, {"icd10", "icd9"}).ForEachRowOfFilled([&](const CsvRow& row) {
    // The General Equivalence Mappings write NoDx or NoPCS where there is no code.
    const std::string target = CanonicalId(row[1]);
    if (IsMissing(row[0]) || IsMissing(target) || target == "NODX" || target == "NOPCS") return;
    from.push_back(CanonicalIcd10(StrCat(kIcd10, row[0])));
    to.emplace_back(row[1]);
  });
  to = CanonicalIcd9(kind, to);
  Titles first;
  std::unordered_set<std::string> several;
  for (size_t i = 0; i < from.size(); ++i) {
    const auto [entry, added] = first.try_emplace(from[i], to[i]);
    if (!added && entry->second != to[i]) several.insert(from[i]);
  }
  CoverageCounter counter(
      StrCat(procedure ? "procedures" : "diagnoses", " of ICD-10 with an ICD-9 code"),
      "codes such as I509", StrCat(stem, ".csv"));
  const std::vector<int64_t> counts = CountCodes(*table);
  std::vector<std::string> codes = table->codes.texts();
  int64_t ambiguous = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (!codes[i].starts_with(kIcd10)) continue;
    const auto found = first.find(codes[i]);
    if (found == first.end()) {
      counter.AddMiss(codes[i], counts[i]);
      continue;
    }
    counter.AddMatch(/*repaired=*/false, counts[i]);
    if (several.contains(codes[i])) ambiguous += counts[i];
    codes[i] = found->second;
  }
  const Coverage coverage = counter.Finish();
  Recode(codes, table);
  DropDuplicates(&table->rows);
  funnel->AddRows(procedure ? kProcedureRows : kDiagnosisRows, "ICD-10 codes read as ICD-9",
                  static_cast<int64_t>(table->rows.size()),
                  StrCat(coverage.matched, " of ", coverage.total, " rows; of ", ambiguous,
                         " with several ICD-9 codes the first was taken",
                         coverage.misses.empty() ? "" : "; commonest without: ", coverage.misses));
}

DdiGraph ReadDdiPairs(const fs::path& folder, const std::string& file,
                      const std::vector<std::string>& ids, bool drugbank_ids, Coverage* coverage) {
  std::unordered_map<std::string, int32_t> index;
  for (size_t i = 0; i < ids.size(); ++i) index[ids[i]] = static_cast<int32_t>(i);
  const fs::path path = folder / file;
  std::string stem = path.filename().string();
  for (const char* suffix : {".gz", ".csv"}) {
    if (stem.ends_with(suffix)) stem.resize(stem.size() - std::string_view(suffix).size());
  }
  DdiGraph graph(static_cast<int32_t>(ids.size()));
  // A drug's state: not in the file, there as it is written here, there in another spelling.
  enum class Found { kNo, kExact, kRepaired };
  std::vector<Found> found(ids.size(), Found::kNo);
  int64_t pairs = 0, damaged = 0;
  std::string first;
  const CsvTable table(path.parent_path(), stem, {"drug1", "drug2"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (first.empty()) first = StrCat(row[0], ",", row[1]);
    std::optional<int32_t> pair[2];
    for (const size_t side : {0, 1}) {
      const auto drug = index.find(CanonicalId(row[side]));
      if (drug == index.end()) continue;
      pair[side] = drug->second;
      Found& state = found[drug->second];
      if (state != Found::kExact) {
        state = row[side] == drug->first ? Found::kExact : Found::kRepaired;
      }
    }
    // The partner of a drug of this hospital may be another drug, but it must be an id.
    if (drugbank_ids && pair[0] && !pair[1] && !IsDrugBankId(row[1])) ++damaged;
    if (drugbank_ids && pair[1] && !pair[0] && !IsDrugBankId(row[0])) ++damaged;
    if (!pair[0] || !pair[1] || *pair[0] == *pair[1]) return;
    graph.Add(*pair[0], *pair[1]);
    ++pairs;
  });
  CoverageCounter counter(
      "drugs with interactions",
      drugbank_ids ? "DrugBank ids such as DB00316" : "codes of data.drug_mapping",
      StrCat(table.path(), ", whose first pair is ", first));
  for (size_t i = 0; i < ids.size(); ++i) {
    if (found[i] == Found::kNo) {
      counter.AddMiss(ids[i]);
    } else {
      counter.AddMatch(found[i] == Found::kRepaired);
    }
  }
  *coverage = counter.Finish();
  if (damaged > 0 && pairs == 0) {
    throw DataError(table.path(), ": in each of ", damaged,
                    " rows with a drug of this hospital the ",
                    "other is no DrugBank id; its first pair is ", first, "; expected two ids");
  }
  if (damaged > 0) {
    LogWarning("prepare: ", table.path(), ": ", damaged,
               " pairs of a drug of this hospital are lost: ",
               "the other is no DrugBank id such as DB00316");
  }
  if (pairs == 0 && ids.size() > 1) {
    LogWarning("prepare: ", table.path(), " has no pair of two drugs of this hospital: every DDI ",
               "rate will be 0");
  }
  return graph;
}

}  // namespace flame
