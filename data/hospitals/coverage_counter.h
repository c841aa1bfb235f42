// Counts how much of a hospital a mapping covers, so that a mapping that does not fit is no silent
// loss.
#ifndef FLAME_DATA_HOSPITALS_COVERAGE_COUNTER_H_
#define FLAME_DATA_HOSPITALS_COVERAGE_COUNTER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/coverage.h"

namespace flame {

class CoverageCounter {
 public:
  // `of`: what is counted ("diagnoses with a title"). `expected`: how the mapping's keys look, for
  // messages ("codes such as 4019").
  CoverageCounter(std::string of, std::string expected)
      : of_(std::move(of)), expected_(std::move(expected)) {}

  void AddMatch(bool repaired, int64_t times = 1);
  void AddMiss(std::string_view text, int64_t times = 1);

  // Returns the counts, and logs them: as a warning if less than half matched or some matched only
  // repaired. Throws DataError if there was something to match and nothing did.
  Coverage Finish() const;

 private:
  std::string CommonestMisses() const;

  std::string of_, expected_;
  int64_t matched_ = 0, missed_ = 0, repaired_ = 0;
  std::unordered_map<std::string, int64_t> misses_;
};

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_COVERAGE_COUNTER_H_
