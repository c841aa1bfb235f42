#include "data/hospitals/cohort.h"

#include <algorithm>
#include <cctype>
#include <unordered_set>

#include "base/error.h"
#include "base/log.h"
#include "data/hospitals/coverage_counter.h"
#include "data/hospitals/csv_table.h"

namespace flame {
namespace {

struct HashRow {
  size_t operator()(const CodeRow& row) const {
    size_t hash = 0;
    for (int64_t part : {row.subject, row.hadm, int64_t{row.code}, int64_t{row.name}}) {
      hash = (hash ^ static_cast<size_t>(part)) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    }
    return hash;
  }
};

// Keeps the first of equal rows.
void DropDuplicates(std::vector<CodeRow>* rows) {
  std::unordered_set<CodeRow, HashRow> seen;
  std::erase_if(*rows, [&](const CodeRow& row) { return !seen.insert(row).second; });
}

std::unordered_set<int64_t> VisitsIn(const std::vector<CodeRow>& rows) {
  std::unordered_set<int64_t> visits;
  for (const CodeRow& row : rows) visits.insert(row.hadm);
  return visits;
}

std::vector<int64_t> CountCodes(const CodeTable& table) {
  std::vector<int64_t> counts(table.codes.size(), 0);
  for (const CodeRow& row : table.rows) ++counts[row.code];
  return counts;
}

// Step 1. The codes of the table are NDCs.
CodeTable ReadPrescriptions(const std::filesystem::path& root, const AdmissionOwners& owners) {
  const CsvTable table(root, "PRESCRIPTIONS",
                       {"SUBJECT_ID", "HADM_ID", "DRUG_TYPE", "DRUG", "NDC"});
  CodeTable prescriptions;
  Interner names;
  OwnerCheck check(owners);
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (CanonicalId(row[2]) != "MAIN" || IsNoNdc(row[4])) return;
    if (row[0].empty() || row[1].empty() || row[3].empty()) return;
    const int64_t subject = row.Integer(0), hadm = row.Integer(1);
    check.See(row, subject, hadm);
    prescriptions.rows.push_back(
        {subject, hadm, prescriptions.codes.IdOf(row[4]), names.IdOf(row[3])});
  });
  check.Finish(table);
  DropDuplicates(&prescriptions.rows);
  return prescriptions;
}

// Step 2.
void KeepPatientsWithVisits(int64_t min_visits, std::vector<CodeRow>* rows) {
  std::unordered_map<int64_t, std::unordered_set<int64_t>> visits;
  for (const CodeRow& row : *rows) visits[row.subject].insert(row.hadm);
  std::erase_if(*rows, [&](const CodeRow& row) {
    return static_cast<int64_t>(visits[row.subject].size()) < min_visits;
  });
}

// Returns the DrugBank ids of an NDC; null if it has none, or if its readings have different ones.
const std::vector<std::string>* DrugsOfNdc(const NdcMap& ndc_map, const std::string& ndc) {
  const std::vector<std::string>* found = nullptr;
  for (const std::string& reading : NdcReadings(ndc)) {
    const auto mapped = ndc_map.find(reading);
    if (mapped == ndc_map.end()) continue;
    if (found != nullptr && *found != mapped->second) return nullptr;
    found = &mapped->second;
  }
  return found;
}

bool IsElevenDigits(const std::string& ndc) {
  return ndc.size() == 11 && ndc.find_first_not_of("0123456789") == std::string::npos;
}

// Step 3: maps NDCs, without their last two digits, to DrugBank ids.
CodeTable MapToDrugBank(const CodeTable& prescriptions, const NdcMap& ndc_map, Coverage* coverage) {
  CodeTable drugs;
  CoverageCounter counter("prescriptions with a DrugBank id", "NDCs of 11 digits",
                          "ndc9_to_drugbank.csv");
  std::vector<const std::vector<std::string>*> drugs_of;
  const std::vector<int64_t> counts = CountCodes(prescriptions);
  for (int32_t i = 0; i < prescriptions.codes.size(); ++i) {
    const std::string& ndc = prescriptions.codes.Text(i);
    drugs_of.push_back(DrugsOfNdc(ndc_map, ndc));
    if (counts[i] == 0) continue;
    if (drugs_of.back() == nullptr) {
      counter.AddMiss(ndc, counts[i], /*damaged=*/!IsElevenDigits(ndc));
    } else {
      counter.AddMatch(/*repaired=*/!IsElevenDigits(ndc), counts[i]);
    }
  }
  *coverage = counter.Finish();
  for (CodeRow row : prescriptions.rows) {
    const std::vector<std::string>* mapped = drugs_of[row.code];
    if (mapped == nullptr) continue;
    for (const std::string& drug : *mapped) {
      row.code = drugs.codes.IdOf(drug);
      drugs.rows.push_back(row);
    }
  }
  DropDuplicates(&drugs.rows);
  return drugs;
}

// Step 4. Ties are broken by id.
void KeepMostFrequent(int64_t num_drugs, CodeTable* drugs) {
  const std::vector<int64_t> counts = CountCodes(*drugs);
  std::vector<int32_t> order(counts.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return counts[a] != counts[b] ? counts[a] > counts[b]
                                  : drugs->codes.Text(a) < drugs->codes.Text(b);
  });
  order.resize(std::min<size_t>(order.size(), num_drugs));
  const std::unordered_set<int32_t> kept(order.begin(), order.end());
  std::erase_if(drugs->rows, [&](const CodeRow& row) { return !kept.contains(row.code); });
}

// Warns of codes that are not letters and digits alone.
void WarnOfUnread(const std::string& stem, const std::vector<std::string>& codes,
                  const std::vector<int64_t>& counts) {
  int64_t rows = 0;
  std::string first;
  for (size_t i = 0; i < codes.size(); ++i) {
    if (std::all_of(codes[i].begin(), codes[i].end(),
                    [](unsigned char c) { return std::isalnum(c) != 0; })) {
      continue;
    }
    if (rows == 0) first = codes[i];
    rows += counts[i];
  }
  if (rows == 0) return;
  LogWarning("prepare: ", stem, ": ", rows, " rows have codes such as '", first,
             "', which stay as ",
             "they are and have no title; expected ICD-9 codes without dots. A code whose dot can ",
             "be read in two ways is not repaired");
}

// Gives the codes of a table their canonical form.
void RepairCodes(CodeKind kind, const std::string& stem, CodeTable* table) {
  std::vector<std::string> written;
  for (int32_t i = 0; i < table->codes.size(); ++i) written.push_back(table->codes.Text(i));
  const std::vector<std::string> canonical = CanonicalIcd9(kind, written);
  WarnOfUnread(stem, canonical, CountCodes(*table));
  if (canonical == written) return;
  CodeTable repaired;
  int64_t rows = 0;
  int32_t first = -1;
  for (CodeRow row : table->rows) {
    if (canonical[row.code] != written[row.code]) {
      ++rows;
      if (first < 0) first = row.code;
    }
    row.code = repaired.codes.IdOf(canonical[row.code]);
    repaired.rows.push_back(row);
  }
  LogWarning("prepare: ", stem, ": ", rows, " rows had codes that are not written as in MIMIC; ",
             "they were repaired, such as '", written[first], "' to '", canonical[first], "'");
  *table = std::move(repaired);
}

// Step 6. A row without a code says nothing, so it is dropped from either table.
CodeTable ReadCodes(const std::filesystem::path& root, CodeKind kind,
                    const AdmissionOwners& owners) {
  const bool diagnoses = kind == CodeKind::kDiagnosis;
  const std::string stem = diagnoses ? "DIAGNOSES_ICD" : "PROCEDURES_ICD";
  const CsvTable table(root, stem, {"SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"});
  CodeTable codes;
  OwnerCheck check(owners);
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (row[0].empty() || row[1].empty() || IsMissing(row[3])) return;
    if (diagnoses && IsMissing(row[2])) return;
    const int64_t subject = row.Integer(0), hadm = row.Integer(1);
    check.See(row, subject, hadm);
    codes.rows.push_back({subject, hadm, codes.codes.IdOf(row[3]), 0});
  });
  check.Finish(table);
  RepairCodes(kind, stem, &codes);
  DropDuplicates(&codes.rows);
  return codes;
}

// Step 5.
void KeepDrugsWithStructure(const DrugBankIds& with_structure, CodeTable* drugs,
                            Coverage* coverage) {
  CoverageCounter counter("drugs with a structure", "DrugBank ids such as DB00316",
                          StrCat("drugbank_to_smiles.csv, which has ids such as '",
                                 with_structure.empty() ? ""
                                                        : *std::min_element(with_structure.begin(),
                                                                            with_structure.end()),
                                 "'"));
  std::vector<int64_t> counts = CountCodes(*drugs);
  for (int32_t i = 0; i < drugs->codes.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::string& id = drugs->codes.Text(i);
    if (with_structure.contains(id)) {
      counter.AddMatch(/*repaired=*/false);
    } else {
      counter.AddMiss(id);
    }
  }
  *coverage = counter.Finish();
  std::erase_if(drugs->rows, [&](const CodeRow& row) {
    return !with_structure.contains(drugs->codes.Text(row.code));
  });
}

bool KeepVisits(const std::unordered_set<int64_t>& visits, CodeTable* table) {
  return std::erase_if(table->rows,
                       [&](const CodeRow& row) { return !visits.contains(row.hadm); }) > 0;
}

bool KeepFrequentCodes(int64_t min_rows, CodeTable* table) {
  const std::vector<int64_t> counts = CountCodes(*table);
  return std::erase_if(table->rows,
                       [&](const CodeRow& row) { return counts[row.code] <= min_rows; }) > 0;
}

bool KeepCommonVisits(Cohort* cohort) {
  std::unordered_set<int64_t> common = VisitsIn(cohort->drugs.rows);
  for (const CodeTable* table : {&cohort->diagnoses, &cohort->procedures}) {
    const std::unordered_set<int64_t> visits = VisitsIn(table->rows);
    std::erase_if(common, [&](int64_t hadm) { return !visits.contains(hadm); });
  }
  bool changed = false;
  for (CodeTable* table : {&cohort->diagnoses, &cohort->procedures, &cohort->drugs}) {
    changed |= KeepVisits(common, table);
  }
  return changed;
}

// Step 7.
void SelectUntilStable(int64_t min_rows, Cohort* cohort, StepCounts* steps) {
  const std::string more = StrCat(" codes with more than ", min_rows, " rows");
  bool changed = true;
  for (int round = 1; changed; ++round) {
    const std::string label = StrCat(" (round ", round, ")");
    changed = KeepCommonVisits(cohort);
    steps->Add("visits with diagnoses, procedures and drugs" + label, cohort->drugs.rows);
    changed |= KeepFrequentCodes(min_rows, &cohort->diagnoses);
    steps->Add("diagnosis" + more + label, cohort->diagnoses.rows);
    changed |= KeepFrequentCodes(min_rows, &cohort->procedures);
    steps->Add("procedure" + more + label, cohort->procedures.rows);
  }
}

}  // namespace

int32_t Interner::IdOf(std::string_view text) {
  const auto [entry, added] = ids_.try_emplace(std::string(text), size());
  if (added) texts_.emplace_back(text);
  return entry->second;
}

void StepCounts::Add(const std::string& step, const std::vector<CodeRow>& rows) {
  std::unordered_set<int64_t> patients;
  for (const CodeRow& row : rows) patients.insert(row.subject);
  lines_.push_back(StrCat(step, ": ", rows.size(), " rows of ", VisitsIn(rows).size(),
                          " visits of ", patients.size(), " patients"));
  LogInfo("prepare: ", lines_.back());
  if (!rows.empty()) return;
  std::string counts;
  for (const std::string& line : lines_) counts += "\n  " + line;
  throw DataError("no patient left after the step '", step, "'; expected at least one:", counts);
}

Cohort SelectCohort(const DataOptions& options, const AdmissionOwners& owners,
                    const NdcMap& ndc_map, const DrugBankIds& with_structure) {
  StepCounts steps;
  CodeTable prescriptions = ReadPrescriptions(options.root, owners);
  steps.Add("main prescriptions with an NDC", prescriptions.rows);
  KeepPatientsWithVisits(options.min_visits, &prescriptions.rows);
  steps.Add(StrCat("patients with at least ", options.min_visits, " visits"), prescriptions.rows);
  Cohort cohort;
  Coverage ndcs, structures;
  cohort.drugs = MapToDrugBank(prescriptions, ndc_map, &ndcs);
  steps.Add("prescriptions with a DrugBank id", cohort.drugs.rows);
  KeepMostFrequent(options.top_drugs, &cohort.drugs);
  steps.Add(StrCat("the ", options.top_drugs, " most frequent drugs"), cohort.drugs.rows);
  KeepDrugsWithStructure(with_structure, &cohort.drugs, &structures);
  steps.Add("drugs with a structure", cohort.drugs.rows);
  cohort.coverage = {ndcs, structures};
  cohort.diagnoses = ReadCodes(options.root, CodeKind::kDiagnosis, owners);
  steps.Add("diagnoses", cohort.diagnoses.rows);
  cohort.procedures = ReadCodes(options.root, CodeKind::kProcedure, owners);
  steps.Add("procedures", cohort.procedures.rows);
  SelectUntilStable(options.min_code_rows, &cohort, &steps);
  return cohort;
}

}  // namespace flame
