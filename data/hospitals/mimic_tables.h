// Readers of the tables that MIMIC-III and MIMIC-IV share. Columns are found in any case.
#ifndef FLAME_DATA_HOSPITALS_MIMIC_TABLES_H_
#define FLAME_DATA_HOSPITALS_MIMIC_TABLES_H_

#include <filesystem>
#include <memory>
#include <string>

#include "data/hospitals/hospital.h"
#include "data/tables/csv_table.h"

namespace flame {

// ADMISSIONS. Throws DataError if two rows of one admission differ.
Admissions ReadMimicAdmissions(const std::filesystem::path& folder);

// PRESCRIPTIONS: step 1 of docs/method.md. The codes are NDCs.
CodeTable ReadMimicPrescriptions(const std::filesystem::path& folder, const Admissions& admissions,
                                 FunnelLog* funnel);

// DIAGNOSES_ICD or PROCEDURES_ICD: step 6, with codes in canonical form. `code_column` and
// `version_column` name the layout's columns; an empty version means ICD-9 throughout.
CodeTable ReadMimicCodes(const std::filesystem::path& folder, CodeKind kind,
                         const std::string& code_column, const std::string& version_column,
                         const Admissions& admissions, FunnelLog* funnel);

std::optional<Moment> TimeIfAny(const CsvRow& row, size_t column);

// Keeps the admission's note unless it has one with any of the sections of AdmissionNote.
void KeepFirstNote(int64_t hadm, std::string_view text, Notes* notes);

// Drugs by the first nine digits of an NDC (ndc9_to_drugbank.csv).
std::unique_ptr<DrugMap> OpenNdcMap(const std::filesystem::path& mappings);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_MIMIC_TABLES_H_
