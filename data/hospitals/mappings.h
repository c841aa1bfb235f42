// Public tables that tie a hospital's codes to drugs, names, structures and interactions.
#ifndef FLAME_DATA_HOSPITALS_MAPPINGS_H_
#define FLAME_DATA_HOSPITALS_MAPPINGS_H_

#include <filesystem>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/corpus.h"

namespace flame {

// First nine digits of an NDC -> DrugBank ids, in the order of ndc9_to_drugbank.csv (NDC,
// drugbank_id).
using NdcMap = std::unordered_map<std::string, std::vector<std::string>>;
NdcMap ReadNdcMap(const std::filesystem::path& folder);

// DrugBank ids with a SMILES in drugbank_to_smiles.csv (drug_id, smiles).
using DrugSet = std::unordered_set<std::string>;
DrugSet ReadDrugsWithStructure(const std::filesystem::path& folder);

// Generic names by drugbank_to_name.csv (drugbank_id, drug_name); an id without a name is its own
// name. No two names match each other (lower case, without spaces and hyphens): " (id)" is
// appended to a later one that would.
std::vector<std::string> DrugNames(const std::filesystem::path& folder,
                                   const std::vector<std::string>& ids);

enum class CodeKind { kDiagnosis, kProcedure };

// Short titles of ICD-9 codes: of D_ICD_DIAGNOSES or D_ICD_PROCEDURES in `root` if it is there,
// else of icd9_diagnoses.csv or icd9_procedures.csv in `folder`, else the code itself. The latter
// two tables have lost leading zeros of procedure codes ("0159" and "159" are both 159 there), so a
// procedure is looked up as a number where its exact code is in neither.
std::vector<std::string> CodeTitles(const std::filesystem::path& folder,
                                    const std::filesystem::path& root, CodeKind kind,
                                    const std::vector<std::string>& codes);

// Rows (drug1, drug2) of `file` in `folder` among `ids`. Throws DataError if the file has no row.
DdiGraph ReadDdiPairs(const std::filesystem::path& folder, const std::string& file,
                      const std::vector<std::string>& ids);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_MAPPINGS_H_
