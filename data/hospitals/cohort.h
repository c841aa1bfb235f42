// The rows of a hospital's three code tables and the steps that select among them (docs/method.md,
// Preprocessing of MIMIC-III, steps 1 to 7).
#ifndef FLAME_DATA_HOSPITALS_COHORT_H_
#define FLAME_DATA_HOSPITALS_COHORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/coverage.h"
#include "data/hospitals/mappings.h"
#include "data/hospitals/owner_check.h"
#include "data/options.h"

namespace flame {

// Numbers texts from 0, in order of first appearance.
class Interner {
 public:
  int32_t IdOf(std::string_view text);
  const std::string& Text(int32_t id) const { return texts_[id]; }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }

 private:
  std::unordered_map<std::string, int32_t> ids_;
  std::vector<std::string> texts_;
};

struct CodeRow {
  int64_t subject = 0, hadm = 0;
  int32_t code = 0;  // diagnosis, procedure, NDC or drug: its number in its table's Interner
  int32_t name = 0;  // the hospital's own name of a drug, which distinguishes rows; 0 elsewhere
  bool operator==(const CodeRow&) const = default;
};

struct CodeTable {
  std::vector<CodeRow> rows;  // in the order of the file
  Interner codes;
};

// The rows, visits and patients left after each step. Add() logs them.
class StepCounts {
 public:
  // Throws DataError if no row is left, naming the step and showing the counts of all steps so far.
  void Add(const std::string& step, const std::vector<CodeRow>& rows);

 private:
  std::vector<std::string> lines_;
};

struct Cohort {
  CodeTable diagnoses, procedures, drugs;  // drugs: DrugBank ids
  std::vector<Coverage> coverage;          // of the NDCs and of the structures
};

// Runs steps 1 to 7. Throws DataError as PrepareCorpus does, among others if a table gives an
// admission to another patient than `owners`.
Cohort SelectCohort(const DataOptions& options, const AdmissionOwners& owners,
                    const NdcMap& ndc_map, const DrugBankIds& with_structure);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_COHORT_H_
