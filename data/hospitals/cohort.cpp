#include "data/hospitals/cohort.h"

#include <algorithm>

#include "base/error.h"
#include "data/tables/coverage_counter.h"

namespace flame {
namespace {

// Step 2.
void KeepPatientsWithVisits(int64_t min_visits, std::vector<CodeRow>* rows) {
  std::unordered_map<int64_t, std::unordered_set<int64_t>> visits;
  const CodeRow* before = nullptr;
  for (const CodeRow& row : *rows) {
    const bool same =
        before != nullptr && before->hadm == row.hadm && before->subject == row.subject;
    if (!same) visits[row.subject].insert(row.hadm);
    before = &row;
  }
  std::unordered_set<int64_t> dropped;
  for (const auto& [subject, of] : visits) {
    if (static_cast<int64_t>(of.size()) < min_visits) dropped.insert(subject);
  }
  std::erase_if(*rows, [&](const CodeRow& row) { return dropped.contains(row.subject); });
}

using Mapped = std::vector<const std::vector<std::string>*>;  // [sources]; null: no drug

// Returns the drugs of each source and counts the rows that have one.
Mapped FindDrugs(const CodeTable& prescriptions, const DrugMap& drug_map, Coverage* coverage) {
  CoverageCounter counter("prescriptions with " + drug_map.vocabulary(), drug_map.expected(),
                          drug_map.place());
  Mapped mapped;
  const std::vector<int64_t> counts = CountCodes(prescriptions);
  for (int32_t i = 0; i < prescriptions.codes.size(); ++i) {
    const std::string& source = prescriptions.codes.Text(i);
    mapped.push_back(drug_map.Find(source));
    if (counts[i] == 0) continue;
    if (mapped.back() == nullptr) {
      counter.AddMiss(source, counts[i], /*damaged=*/!drug_map.WellFormed(source));
    } else {
      counter.AddMatch(/*repaired=*/!drug_map.WellFormed(source), counts[i]);
    }
  }
  *coverage = counter.Finish();
  return mapped;
}

// Says which of the hospital's drug names most often had no drug, and how many rows had several.
std::string DetailOf(const CodeTable& prescriptions, const Mapped& mapped, const DrugMap& map) {
  CommonTexts without, rules;
  int64_t several = 0;
  const std::vector<int64_t> counts = CountCodes(prescriptions);
  for (int32_t i = 0; i < prescriptions.codes.size(); ++i) {
    const std::string rule = map.RuleOf(prescriptions.codes.Text(i));
    if (!rule.empty()) rules.Add(rule, counts[i]);
  }
  for (const CodeRow& row : prescriptions.rows) {
    const std::vector<std::string>* drugs = mapped[row.code];
    if (drugs == nullptr) without.Add(prescriptions.names.Text(row.name));
    if (drugs != nullptr && drugs->size() > 1) ++several;
  }
  std::string detail;
  if (several > 0) detail = StrCat(several, " rows of several drugs became one row each");
  if (rules.size() > 0) {
    detail += StrCat(detail.empty() ? "" : "; ", "rules: ", rules.Commonest(rules.size()));
  }
  if (without.size() > 0) {
    detail += StrCat(detail.empty() ? "" : "; ", "commonest names without: ", without.Commonest());
  }
  return detail;
}

// Step 3: maps the hospital's drugs to ids.
CodeTable MapDrugs(const CodeTable& prescriptions, const Mapped& mapped) {
  CodeTable drugs;
  for (CodeRow row : prescriptions.rows) {
    if (mapped[row.code] == nullptr) continue;
    for (const std::string& drug : *mapped[row.code]) {
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

// Step 5.
void KeepDrugsWithStructure(const DrugBankIds& with_structure, CodeTable* drugs,
                            Coverage* coverage) {
  CoverageCounter counter("drugs with a structure", "DrugBank ids such as DB00316",
                          StrCat("drugbank_to_smiles.csv, which has ids such as '",
                                 with_structure.empty() ? ""
                                                        : *std::min_element(with_structure.begin(),
                                                                            with_structure.end()),
                                 "'"));
  const std::vector<int64_t> counts = CountCodes(*drugs);
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

// Keeps the drugs of the corpus onto which this one is prepared.
void KeepKnownDrugs(const std::unordered_set<std::string>& known, CodeTable* drugs,
                    Coverage* coverage, FunnelLog* funnel) {
  CoverageCounter counter("prescriptions of a drug that the policy may write",
                          "the drugs of the corpus onto which this is prepared", "that corpus");
  const std::vector<int64_t> counts = CountCodes(*drugs);
  for (int32_t i = 0; i < drugs->codes.size(); ++i) {
    if (known.contains(drugs->codes.Text(i))) {
      counter.AddMatch(/*repaired=*/false, counts[i]);
    } else {
      counter.AddMiss(drugs->codes.Text(i), counts[i]);
    }
  }
  *coverage = counter.Finish();
  std::erase_if(drugs->rows,
                [&](const CodeRow& row) { return !known.contains(drugs->codes.Text(row.code)); });
  funnel->Add(kDrugRows, "drugs that the policy may write", drugs->rows,
              coverage->misses.empty() ? "" : "commonest others: " + coverage->misses);
}

// Steps 4 and 5, or the drugs that are known.
void SelectDrugs(int64_t top_drugs, const CodeRules& rules, Cohort* cohort, FunnelLog* funnel) {
  if (rules.known != nullptr) {
    KeepKnownDrugs(rules.known->drugs, &cohort->drugs, &cohort->coverage.emplace_back(), funnel);
    return;
  }
  KeepMostFrequent(top_drugs, &cohort->drugs);
  funnel->Add(kDrugRows, StrCat("the ", top_drugs, " most frequent drugs"), cohort->drugs.rows);
  if (rules.with_structure == nullptr) return;
  KeepDrugsWithStructure(*rules.with_structure, &cohort->drugs, &cohort->coverage.emplace_back());
  funnel->Add(kDrugRows, "drugs with a structure", cohort->drugs.rows);
}

bool KeepVisits(const std::unordered_set<int64_t>& visits, CodeTable* table) {
  return std::erase_if(table->rows,
                       [&](const CodeRow& row) { return !visits.contains(row.hadm); }) > 0;
}

// Keeps codes with more rows than `min_rows`, and those in `known`, which may be null.
bool KeepFrequentCodes(int64_t min_rows, const std::unordered_set<std::string>* known,
                       CodeTable* table) {
  const std::vector<int64_t> counts = CountCodes(*table);
  std::vector<bool> kept;
  for (int32_t i = 0; i < table->codes.size(); ++i) {
    kept.push_back(counts[i] > min_rows ||
                   (known != nullptr && known->contains(table->codes.Text(i))));
  }
  return std::erase_if(table->rows, [&](const CodeRow& row) { return !kept[row.code]; }) > 0;
}

// Keeps the visits present in all three tables. `detail` tells what each table lacked.
bool KeepCommonVisits(Cohort* cohort, std::string* detail) {
  const std::unordered_set<int64_t> with_drugs = VisitsIn(cohort->drugs.rows);
  std::unordered_set<int64_t> common = with_drugs;
  const auto keep = [&](const CodeTable& table) {
    const std::unordered_set<int64_t> visits = VisitsIn(table.rows);
    std::erase_if(common, [&](int64_t hadm) { return !visits.contains(hadm); });
    return std::count_if(with_drugs.begin(), with_drugs.end(),
                         [&](int64_t hadm) { return !visits.contains(hadm); });
  };
  const int64_t no_diagnoses = keep(cohort->diagnoses), no_procedures = keep(cohort->procedures);
  if (no_diagnoses + no_procedures > 0) {
    *detail = StrCat("of ", with_drugs.size(), " visits with drugs ", no_diagnoses,
                     " had no diagnosis, ", no_procedures, " no procedure");
  }
  bool changed = false;
  for (CodeTable* table : {&cohort->diagnoses, &cohort->procedures, &cohort->drugs}) {
    changed |= KeepVisits(common, table);
  }
  return changed;
}

// Step 7.
void SelectUntilStable(int64_t min_rows, const KnownCodes* known, Cohort* cohort,
                       FunnelLog* funnel) {
  const std::string more = StrCat(" codes with more than ", min_rows, " rows");
  bool changed = true;
  for (int round = 1; changed; ++round) {
    const std::string label = StrCat(" (round ", round, ")");
    std::string detail;
    changed = KeepCommonVisits(cohort, &detail);
    funnel->Add(kDrugRows, "visits with diagnoses, procedures and drugs" + label,
                cohort->drugs.rows, detail);
    changed |= KeepFrequentCodes(min_rows, known == nullptr ? nullptr : &known->diagnoses,
                                 &cohort->diagnoses);
    funnel->Add(kDiagnosisRows, "diagnosis" + more + label, cohort->diagnoses.rows);
    changed |= KeepFrequentCodes(min_rows, known == nullptr ? nullptr : &known->procedures,
                                 &cohort->procedures);
    funnel->Add(kProcedureRows, "procedure" + more + label, cohort->procedures.rows);
  }
}

}  // namespace

Cohort SelectCohort(const DataOptions& options, const Hospital& hospital,
                    const Admissions& admissions, const DrugMap& drug_map, const CodeRules& rules,
                    FunnelLog* funnel) {
  CodeTable prescriptions = hospital.ReadPrescriptions(admissions, funnel);
  KeepPatientsWithVisits(options.min_visits, &prescriptions.rows);
  funnel->Add(kDrugRows, StrCat("patients with at least ", options.min_visits, " visits"),
              prescriptions.rows);
  Cohort cohort;
  const Mapped mapped = FindDrugs(prescriptions, drug_map, &cohort.coverage.emplace_back());
  cohort.drugs = MapDrugs(prescriptions, mapped);
  funnel->Add(kDrugRows, "prescriptions with " + drug_map.vocabulary(), cohort.drugs.rows,
              DetailOf(prescriptions, mapped, drug_map));
  const size_t drug_rows = cohort.drugs.rows.size();
  SelectDrugs(options.top_drugs, rules, &cohort, funnel);
  cohort.lost_drugs = cohort.drugs.rows.size() < drug_rows;
  cohort.diagnoses = hospital.ReadCodes(CodeKind::kDiagnosis, admissions, funnel);
  funnel->Add(kDiagnosisRows, "diagnoses", cohort.diagnoses.rows);
  cohort.procedures = hospital.ReadCodes(CodeKind::kProcedure, admissions, funnel);
  funnel->Add(kProcedureRows, "procedures", cohort.procedures.rows);
  SelectUntilStable(options.min_code_rows, rules.known, &cohort, funnel);
  return cohort;
}

}  // namespace flame
