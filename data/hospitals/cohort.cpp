#include "data/hospitals/cohort.h"

#include <algorithm>
#include <unordered_set>

#include "base/log.h"
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
CodeTable ReadPrescriptions(const std::filesystem::path& root) {
  const CsvTable table(root, "PRESCRIPTIONS",
                       {"SUBJECT_ID", "HADM_ID", "DRUG_TYPE", "DRUG", "NDC"});
  CodeTable prescriptions;
  Interner names;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (row[2] != "MAIN" || row[4] == "0") return;
    if (row[0].empty() || row[1].empty() || row[3].empty() || row[4].empty()) return;
    prescriptions.rows.push_back(
        {row.Integer(0), row.Integer(1), prescriptions.codes.IdOf(row[4]), names.IdOf(row[3])});
  });
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

// Step 3: maps NDCs, without their last two characters, to DrugBank ids.
CodeTable MapToDrugBank(const CodeTable& prescriptions, const NdcMap& ndc_map) {
  CodeTable drugs;
  for (CodeRow row : prescriptions.rows) {
    const std::string& ndc = prescriptions.codes.Text(row.code);
    const auto mapped = ndc_map.find(ndc.substr(0, std::max<size_t>(ndc.size(), 2) - 2));
    if (mapped == ndc_map.end()) continue;
    for (const std::string& drug : mapped->second) {
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

// Step 6. A row without a code says nothing, so it is dropped from either table.
CodeTable ReadCodes(const std::filesystem::path& root, const std::string& stem) {
  const CsvTable table(root, stem, {"SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"});
  const bool needs_position = stem == "DIAGNOSES_ICD";
  CodeTable codes;
  table.ForEachRowOfFilled([&](const CsvRow& row) {
    if (row[0].empty() || row[1].empty() || row[3].empty()) return;
    if (needs_position && row[2].empty()) return;
    codes.rows.push_back({row.Integer(0), row.Integer(1), codes.codes.IdOf(row[3]), 0});
  });
  DropDuplicates(&codes.rows);
  return codes;
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

Cohort SelectCohort(const DataOptions& options, const NdcMap& ndc_map,
                    const DrugBankIds& with_structure) {
  StepCounts steps;
  CodeTable prescriptions = ReadPrescriptions(options.root);
  steps.Add("main prescriptions with an NDC", prescriptions.rows);
  KeepPatientsWithVisits(options.min_visits, &prescriptions.rows);
  steps.Add(StrCat("patients with at least ", options.min_visits, " visits"), prescriptions.rows);
  Cohort cohort;
  cohort.drugs = MapToDrugBank(prescriptions, ndc_map);
  steps.Add("prescriptions with a DrugBank id", cohort.drugs.rows);
  KeepMostFrequent(options.top_drugs, &cohort.drugs);
  steps.Add(StrCat("the ", options.top_drugs, " most frequent drugs"), cohort.drugs.rows);
  std::erase_if(cohort.drugs.rows, [&](const CodeRow& row) {
    return !with_structure.contains(cohort.drugs.codes.Text(row.code));
  });
  steps.Add("drugs with a structure", cohort.drugs.rows);
  cohort.diagnoses = ReadCodes(options.root, "DIAGNOSES_ICD");
  steps.Add("diagnoses", cohort.diagnoses.rows);
  cohort.procedures = ReadCodes(options.root, "PROCEDURES_ICD");
  steps.Add("procedures", cohort.procedures.rows);
  SelectUntilStable(options.min_code_rows, &cohort, &steps);
  return cohort;
}

}  // namespace flame
