// The steps that select a cohort from a hospital's three code tables (docs/method.md, Preprocessing
// of MIMIC-III, steps 1 to 7).
#ifndef FLAME_DATA_HOSPITALS_COHORT_H_
#define FLAME_DATA_HOSPITALS_COHORT_H_

#include <vector>

#include "data/coverage.h"
#include "data/hospitals/code_table.h"
#include "data/hospitals/hospital.h"
#include "data/hospitals/mappings.h"
#include "data/options.h"

namespace flame {

struct Cohort {
  CodeTable diagnoses, procedures, drugs;  // drugs: DrugBank ids, or those of data.drug_mapping
  std::vector<Coverage> coverage;          // of the drugs and of the structures
};

// Runs steps 1 to 7. Step 5 is left out if `with_structure` is null. Throws DataError as
// PrepareCorpus does.
Cohort SelectCohort(const DataOptions& options, const Hospital& hospital,
                    const Admissions& admissions, const DrugMap& drug_map,
                    const DrugBankIds* with_structure, FunnelLog* funnel);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_COHORT_H_
