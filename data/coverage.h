// How much of a hospital each mapping covers; part of a Corpus.
#ifndef FLAME_DATA_COVERAGE_H_
#define FLAME_DATA_COVERAGE_H_

#include <cstdint>
#include <string>

namespace flame {

// Worked example: of 120 prescriptions 54 have an NDC of the mapping, 10 of these once zeros that
// their table had lost were put back; the NDC 1 is in 40 of the others, more than any other:
//   {"prescriptions with a DrugBank id", 120, 54, 10, "1 (40 times), 73457 (26 times)"}
struct Coverage {
  std::string of;                  // what is counted
  int64_t total = 0, matched = 0;  // matched <= total
  int64_t repaired = 0;            // of the matched, how many were not written as expected
  std::string misses;              // the commonest of the others; "" if there are none
  bool operator==(const Coverage&) const = default;
};

}  // namespace flame

#endif  // FLAME_DATA_COVERAGE_H_
