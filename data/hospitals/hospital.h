// The interface between the preparation and a hospital's tables of any layout (layouts.h).
#ifndef FLAME_DATA_HOSPITALS_HOSPITAL_H_
#define FLAME_DATA_HOSPITALS_HOSPITAL_H_

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "data/corpus.h"
#include "data/tables/calendar.h"
#include "data/tables/code_table.h"
#include "data/tables/codes.h"
#include "data/tables/funnel_log.h"

namespace flame {

inline constexpr int32_t kAgeCap = 90;      // older visits count as this age
inline constexpr int32_t kMostYears = 150;  // an age above it is an error

struct Admission {
  int64_t subject = 0;
  std::optional<Moment> admitted, discharged;  // on the hospital's clock, which may be shifted
};
using Admissions = std::unordered_map<int64_t, Admission>;  // by HADM_ID

using Titles = std::unordered_map<std::string, std::string>;  // by code

// A hospital's own titles: those that come before the mappings', and those for codes that the
// mappings lack.
struct OwnTitles {
  Titles first, fallback;
};

// The notes of some admissions.
struct Notes {
  std::unordered_map<int64_t, std::string> of;   // by HADM_ID; see AdmissionNote
  std::unordered_set<int64_t> without_sections;  // have a summary, and none of its sections
  int64_t rows = 0;                              // of the tables
  std::string expected, place;                   // of a note, for messages
  std::string missing = "no discharge summary";  // of an admission without a note, for messages
  // Throws DataError if the table gives an admission to another patient, and warns of admissions
  // that ADMISSIONS lacks. Empty: nothing to check.
  std::function<void()> check;
};

// Returns the DrugBank ids (or those of the user's mapping) of a drug as the hospital writes it;
// null if there is none.
class DrugMap {
 public:
  virtual ~DrugMap() = default;
  virtual const std::vector<std::string>* Find(const std::string& source) const = 0;
  // True if the text is written as the hospital's drugs are: an NDC of 11 digits, a name.
  virtual bool WellFormed(const std::string& source) const = 0;
  // The rule by which a source has its drugs, or has none; "" if there is but one rule.
  virtual std::string RuleOf(const std::string&) const { return ""; }
  // For messages: what a source looks like, and where it is looked up.
  virtual std::string expected() const = 0;
  virtual std::string place() const = 0;
  // The vocabulary that a drug is mapped to, for the funnel.
  virtual std::string vocabulary() const { return "a DrugBank id"; }
};

// Each reads its tables anew, so that nothing is kept that is not needed. All throw DataError on a
// table that is missing, damaged, or contradicts another.
class Hospital {
 public:
  virtual ~Hospital() = default;
  virtual Admissions ReadAdmissions() const = 0;
  // The file that ReadAdmissions reads, for messages.
  virtual std::string admissions_file() const = 0;
  // Returns the rows of main drugs, without repeats: `codes` are drugs as the hospital writes them,
  // for Drugs().
  virtual CodeTable ReadPrescriptions(const Admissions& admissions, FunnelLog* funnel) const = 0;
  virtual std::unique_ptr<DrugMap> Drugs() const = 0;
  // Returns the rows of codes, without repeats. An ICD-9 code is written as MIMIC writes it, an
  // ICD-10 code has kIcd10 in front.
  virtual CodeTable ReadCodes(CodeKind kind, const Admissions& admissions,
                              FunnelLog* funnel) const = 0;
  // Returns the diagnoses that the hospital wrote at admission, as text in upper case, without
  // repeats. Throws UsageError if the layout has none.
  virtual CodeTable ReadAdmissionDiagnoses() const = 0;
  // Sets age, gender and year of visits.
  virtual void Describe(const Admissions& admissions, std::vector<Visit>* visits) const = 0;
  // Reads the notes of all admissions; a hospital without notes returns none. Runs beside the other
  // readers, so it neither warns nor changes the hospital.
  virtual Notes ReadNotes(const Admissions& admissions) const = 0;
  virtual OwnTitles ReadTitles(CodeKind kind) const = 0;
};

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_HOSPITAL_H_
