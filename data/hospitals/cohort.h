// The steps that select a cohort from a hospital's three code tables (docs/method.md, Preprocessing
// of MIMIC-III, steps 1 to 7).
#ifndef FLAME_DATA_HOSPITALS_COHORT_H_
#define FLAME_DATA_HOSPITALS_COHORT_H_

#include <string>
#include <unordered_set>
#include <vector>

#include "data/coverage.h"
#include "data/hospitals/hospital.h"
#include "data/hospitals/mappings.h"
#include "data/options.h"
#include "data/tables/code_table.h"

namespace flame {

struct Cohort {
  CodeTable diagnoses, procedures, drugs;  // drugs: DrugBank ids, or those of data.drug_mapping
  std::vector<Coverage> coverage;          // of the drugs and of the structures
  bool lost_drugs = false;                 // true if drugs were left out: rare or unknown ones
};

// The codes of the corpus onto which another is prepared.
struct KnownCodes {
  std::unordered_set<std::string> diagnoses, procedures, drugs;
};

// Rules by which codes are selected.
struct CodeRules {
  const DrugBankIds* with_structure = nullptr;  // null: step 5 is left out
  // Null, or codes that are kept however rare they are; the drugs are then exactly these, and steps
  // 4 and 5 are left out.
  const KnownCodes* known = nullptr;
};

// Runs steps 1 to 7. Throws DataError as PrepareCorpus does.
Cohort SelectCohort(const DataOptions& options, const Hospital& hospital,
                    const Admissions& admissions, const DrugMap& drug_map, const CodeRules& rules,
                    FunnelLog* funnel);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_COHORT_H_
