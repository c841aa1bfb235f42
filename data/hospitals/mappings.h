// Public tables that tie a hospital's codes to drugs, names, structures and interactions. Ids are
// compared in their canonical form (CanonicalId). What is found and what is not is counted in a
// Coverage, as CoverageCounter has it.
#ifndef FLAME_DATA_HOSPITALS_MAPPINGS_H_
#define FLAME_DATA_HOSPITALS_MAPPINGS_H_

#include <filesystem>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/corpus.h"
#include "data/hospitals/hospital.h"
#include "data/tables/codes.h"

namespace flame {

// Maps the first nine digits of an NDC to DrugBank ids, in the order of ndc9_to_drugbank.csv (NDC,
// drugbank_id).
using NdcMap = std::unordered_map<std::string, std::vector<std::string>>;
NdcMap ReadNdcMap(const std::filesystem::path& folder);

// The DrugBank ids with a SMILES in drugbank_to_smiles.csv (drug_id, smiles).
using DrugBankIds = std::unordered_set<std::string>;
DrugBankIds ReadDrugsWithStructure(const std::filesystem::path& folder);

// Returns the generic names of `ids` by drugbank_to_name.csv (drugbank_id, drug_name). An id
// without a name is its own name. No two names match each other (lower case, without spaces and
// hyphens): a later name that would match gets " (id)" appended.
std::vector<std::string> DrugNames(const std::filesystem::path& folder,
                                   const std::vector<std::string>& ids, Coverage* coverage);

// Returns the SHORT_TITLE of each ICD9_CODE of a table.
Titles ReadIcd9Titles(const std::filesystem::path& folder, const std::string& stem, CodeKind kind);

// Returns the titles of codes: from `own.first` if it has the code, else from icd9_diagnoses.csv or
// icd9_procedures.csv in `folder`, else from `own.fallback`, else the code itself.
// icd9_procedures.csv has lost leading zeros ("0159" and "159" are both 159 there), so a procedure
// whose exact code is in none is looked up as a number there. A diagnosis whose exact code is in
// none is looked up with one and with two zeros in front.
std::vector<std::string> CodeTitles(const std::filesystem::path& folder, const OwnTitles& own,
                                    CodeKind kind, const std::vector<std::string>& codes,
                                    Coverage* coverage);

// Replaces ICD-10 codes by the ICD-9 codes that icd10_to_icd9_diagnoses.csv or
// icd10_to_icd9_procedures.csv in `folder` gives (icd10, icd9; the first of several). One that it
// lacks stays. Rows that become equal are one.
void ToIcd9(const std::filesystem::path& folder, CodeKind kind, CodeTable* table,
            FunnelLog* funnel);

// Reads the harmful pairs among `ids` from the rows (drug1, drug2) of `file` in `folder`. Throws
// DataError if the file has no row. A drug is covered if it is in any pair of the file. With
// `drugbank_ids`, pairs with another text than such an id are counted as damaged.
DdiGraph ReadDdiPairs(const std::filesystem::path& folder, const std::string& file,
                      const std::vector<std::string>& ids, bool drugbank_ids, Coverage* coverage);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_MAPPINGS_H_
