// The rows of a hospital that each rule left on the way to visits; part of a Corpus.
#ifndef FLAME_DATA_FUNNEL_H_
#define FLAME_DATA_FUNNEL_H_

#include <cstdint>
#include <string>

namespace flame {

// Worked example: of PRESCRIPTIONS' 10,398 rows 8,920 are of DRUG_TYPE MAIN:
//   {"drugs", "rows of PRESCRIPTIONS", 10398, -1, -1, ""}
//   {"drugs", "DRUG_TYPE other than MAIN", 8920, -1, -1, ""}
struct FunnelStep {
  std::string table;  // "drugs", "diagnoses" or "procedures"
  std::string rule;   // the rule of this step
  int64_t rows = 0;   // left after it; the step before, of the same table, has those before
  int64_t visits = -1, patients = -1;  // with a row left; -1: not counted at this step
  std::string detail;                  // what the rule met most often, or how it decided
  bool operator==(const FunnelStep&) const = default;
};

}  // namespace flame

#endif  // FLAME_DATA_FUNNEL_H_
