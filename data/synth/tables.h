// Writes patients of the synthetic hospital as the tables of MIMIC-III v1.4
// (https://mimic.mit.edu/docs/iii).
#ifndef FLAME_DATA_SYNTH_TABLES_H_
#define FLAME_DATA_SYNTH_TABLES_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/synth/patient.h"

namespace flame {

// One table in memory, with a quoted upper-case header, bare numbers and text in double quotes.
class SynthTable {
 public:
  // `columns` are separated by commas; the first is ROW_ID, which Row() fills.
  SynthTable(std::string file, const std::string& columns);
  // Appends a row. `cells` are those after ROW_ID, each a number as text, quoted text or "" for a
  // missing value.
  void Row(const std::vector<std::string>& cells);
  const std::string& file() const { return file_; }
  const std::string& text() const { return text_; }

 private:
  std::string file_, text_;
  int64_t rows_ = 0;
};

class SynthTables {
 public:
  SynthTables(const SynthModel& model, uint64_t seed);
  // Adds a patient's rows. Patients must come in order; SUBJECT_ID is 10000 + `patient`.
  void Add(uint32_t patient, const SynthPatient& person);
  // Writes every table, the mappings and ORACLE.csv to an existing folder.
  void Write(const std::filesystem::path& folder) const;

 private:
  struct Stay;
  void AddAdmission(const Stay& stay);
  void AddCodes(const Stay& stay);
  void AddPrescriptions(Stay& stay);
  void AddNotes(Stay& stay);

  const SynthModel& model_;
  uint64_t seed_;
  SynthTable patients_, admissions_, diagnoses_, procedures_, prescriptions_, notes_;
  std::string oracle_;
};

// Writes the tables of facts: D_ICD_DIAGNOSES.csv, D_ICD_PROCEDURES.csv and mappings/.
void WriteSynthDictionaries(const SynthModel& model, const std::filesystem::path& folder);

}  // namespace flame

#endif  // FLAME_DATA_SYNTH_TABLES_H_
