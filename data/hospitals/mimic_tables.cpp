#include "data/hospitals/mimic_tables.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/owner_check.h"
#include "data/tables/note_sections.h"

namespace flame {
namespace {

namespace fs = std::filesystem;

class NdcDrugs : public DrugMap {
 public:
  explicit NdcDrugs(const fs::path& mappings) : map_(ReadNdcMap(mappings)) {}
  // An NDC whose readings have different drugs has none.
  const std::vector<std::string>* Find(const std::string& ndc) const override {
    const std::vector<std::string>* found = nullptr;
    for (const std::string& reading : NdcReadings(ndc)) {
      const auto mapped = map_.find(reading);
      if (mapped == map_.end()) continue;
      if (found != nullptr && *found != mapped->second) return nullptr;
      found = &mapped->second;
    }
    return found;
  }
  bool WellFormed(const std::string& ndc) const override {
    return ndc.size() == 11 && ndc.find_first_not_of("0123456789") == std::string::npos;
  }
  std::string expected() const override { return "NDCs of 11 digits"; }
  std::string place() const override { return "ndc9_to_drugbank.csv"; }

 private:
  NdcMap map_;
};

// Warns of codes that are not letters and digits alone.
void WarnOfUnread(const std::string& stem, const CodeTable& table) {
  const std::vector<int64_t> counts = CountCodes(table);
  int64_t rows = 0;
  std::string first;
  for (int32_t i = 0; i < table.codes.size(); ++i) {
    std::string_view code = table.codes.Text(i);
    if (code.starts_with(kIcd10)) code.remove_prefix(kIcd10.size());
    if (std::all_of(code.begin(), code.end(),
                    [](unsigned char c) { return std::isalnum(c) != 0; })) {
      continue;
    }
    if (rows == 0) first = code;
    rows += counts[i];
  }
  if (rows == 0) return;
  LogWarning("prepare: ", stem, ": ", rows, " rows have codes such as '", first,
             "', which stay as ",
             "they are and have no title; expected ICD-9 codes without dots. A code whose dot can ",
             "be read in two ways is not repaired");
}

// Gives the codes of a table their canonical form. Those of ICD-9 are read together, since a column
// tells by all its codes what a dot means.
void RepairCodes(CodeKind kind, const std::string& stem, CodeTable* table) {
  const std::vector<std::string>& written = table->codes.texts();
  std::vector<std::string> icd9;
  for (const std::string& code : written) {
    if (!code.starts_with(kIcd10)) icd9.push_back(code);
  }
  const std::vector<std::string> read = CanonicalIcd9(kind, icd9);
  std::vector<std::string> canonical;
  size_t next = 0;
  for (const std::string& code : written) {
    canonical.push_back(code.starts_with(kIcd10) ? CanonicalIcd10(code) : read[next++]);
  }
  int64_t rows = 0;
  std::string example;
  for (const CodeRow& row : table->rows) {
    if (canonical[row.code] == written[row.code]) continue;
    if (++rows == 1) example = StrCat("'", written[row.code], "' to '", canonical[row.code], "'");
  }
  if (rows > 0) {
    LogWarning("prepare: ", stem, ": ", rows, " rows had codes that are not written as in MIMIC; ",
               "they were repaired, such as ", example);
    Recode(canonical, table);
  }
  WarnOfUnread(stem, *table);
}

bool IsMain(std::string_view type) {
  if (type == "MAIN") return true;
  return type != "BASE" && type != "ADDITIVE" && CanonicalId(type) == "MAIN";
}

std::string CodeOfRow(const CsvRow& row, size_t code, size_t version) {
  if (version == 0) return std::string(row[code]);
  const int64_t of = row.Integer(version);
  if (of != 9 && of != 10) row.Fail(version, "9 or 10");
  return of == 9 ? std::string(row[code]) : StrCat(kIcd10, row[code]);
}

}  // namespace

std::optional<Moment> TimeIfAny(const CsvRow& row, size_t column) {
  if (row[column].empty()) return std::nullopt;
  return row.Time(column);
}

Admissions ReadMimicAdmissions(const fs::path& folder) {
  Admissions admissions;
  const CsvTable table(folder, "ADMISSIONS", {"SUBJECT_ID", "HADM_ID", "ADMITTIME", "DISCHTIME"});
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    const Admission read{row.Integer(0), TimeIfAny(row, 2), TimeIfAny(row, 3)};
    const auto [entry, added] = admissions.try_emplace(row.Integer(1), read);
    const Admission& first = entry->second;
    if (!added && (first.subject != read.subject || first.admitted != read.admitted ||
                   first.discharged != read.discharged)) {
      throw DataError(table.path(), ": ", row.Where(), ", gives HADM_ID ", row[1],
                      " another SUBJECT_ID, ADMITTIME or DISCHTIME than an earlier row; expected ",
                      "one row of an admission");
    }
  });
  return admissions;
}

CodeTable ReadMimicPrescriptions(const fs::path& folder, const Admissions& admissions,
                                 FunnelLog* funnel) {
  const CsvTable table(folder, "PRESCRIPTIONS",
                       {"SUBJECT_ID", "HADM_ID", "DRUG_TYPE", "DRUG", "NDC"});
  CodeTable prescriptions;
  OwnerCheck check(admissions);
  enum Rule { kType, kNdc, kVisit, kName };
  RowRules rules(kDrugRows, "PRESCRIPTIONS",
                 {"DRUG_TYPE other than MAIN", "NDC missing or 0", "SUBJECT_ID or HADM_ID missing",
                  "DRUG missing"});
  const int64_t rows = table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (rules.Drops(kType, !IsMain(row[2])) || rules.Drops(kNdc, IsNoNdc(row[4])) ||
        rules.Drops(kVisit, row[0].empty() || row[1].empty()) ||
        rules.Drops(kName, row[3].empty())) {
      return;
    }
    const int64_t subject = row.Integer(0), hadm = row.Integer(1);
    check.See(row, subject, hadm);
    prescriptions.rows.push_back(
        {subject, hadm, prescriptions.codes.IdOf(row[4]), prescriptions.names.IdOf(row[3])});
  });
  check.Finish(table);
  rules.Finish(rows, funnel);
  DropDuplicates(&prescriptions.rows);
  funnel->Add(kDrugRows, "main prescriptions with an NDC", prescriptions.rows);
  return prescriptions;
}

CodeTable ReadMimicCodes(const fs::path& folder, CodeKind kind, const std::string& code_column,
                         const std::string& version_column, const Admissions& admissions,
                         FunnelLog* funnel) {
  const bool diagnoses = kind == CodeKind::kDiagnosis;
  const std::string stem = diagnoses ? "DIAGNOSES_ICD" : "PROCEDURES_ICD";
  std::vector<std::string> columns = {"SUBJECT_ID", "HADM_ID", "SEQ_NUM", code_column};
  if (!version_column.empty()) columns.push_back(version_column);
  const CsvTable table(folder, stem, columns);
  CodeTable codes;
  OwnerCheck check(admissions);
  enum Rule { kVisit, kCode, kSequence };
  RowRules rules(diagnoses ? kDiagnosisRows : kProcedureRows, stem,
                 {"SUBJECT_ID or HADM_ID missing", "code missing", "SEQ_NUM missing"});
  const int64_t rows = table.ForEachRowOfFilled([&](const CsvRow& row) {
    // A row without a code says nothing, so it is dropped from either table.
    if (rules.Drops(kVisit, row[0].empty() || row[1].empty()) ||
        rules.Drops(kCode, IsMissing(row[3])) ||
        rules.Drops(kSequence, diagnoses && IsMissing(row[2]))) {
      return;
    }
    const int64_t subject = row.Integer(0), hadm = row.Integer(1);
    check.See(row, subject, hadm);
    const std::string code = CodeOfRow(row, 3, version_column.empty() ? 0 : 4);
    codes.rows.push_back({subject, hadm, codes.codes.IdOf(code), 0});
  });
  check.Finish(table);
  rules.Finish(rows, funnel);
  RepairCodes(kind, stem, &codes);
  DropDuplicates(&codes.rows);
  return codes;
}

void KeepFirstNote(int64_t hadm, std::string_view text, Notes* notes) {
  if (notes->of.contains(hadm)) return;
  std::string note = AdmissionNote(text);
  if (note.empty()) {
    notes->without_sections.insert(hadm);
  } else {
    notes->of[hadm] = std::move(note);
  }
}

std::unique_ptr<DrugMap> OpenNdcMap(const fs::path& mappings) {
  return std::make_unique<NdcDrugs>(mappings);
}

}  // namespace flame
