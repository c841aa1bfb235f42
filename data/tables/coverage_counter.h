// Counts how much of a hospital a mapping covers, so that a mapping that does not fit is no silent
// loss.
#ifndef FLAME_DATA_TABLES_COVERAGE_COUNTER_H_
#define FLAME_DATA_TABLES_COVERAGE_COUNTER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "data/coverage.h"

namespace flame {

// Counts texts, and tells the commonest.
class CommonTexts {
 public:
  void Add(std::string_view text, int64_t times = 1) { counts_[std::string(text)] += times; }
  size_t size() const { return counts_.size(); }
  // The `most` commonest: "'Aspirin' (40 times), 'Heparin'"; "" if there are none.
  std::string Commonest(size_t most = 5) const;

 private:
  std::unordered_map<std::string, int64_t> counts_;
};

class CoverageCounter {
 public:
  // `of`: what is counted ("diagnoses with a title"). `expected`: how the hospital's keys look
  // ("codes such as 4019"). `mapping`: the table they are looked for in, with one of its own keys;
  // both for messages.
  CoverageCounter(std::string of, std::string expected, std::string mapping)
      : of_(std::move(of)), expected_(std::move(expected)), mapping_(std::move(mapping)) {}

  void AddMatch(bool repaired, int64_t times = 1);
  // A damaged key is one that is not written as expected.
  void AddMiss(std::string_view text, int64_t times = 1, bool damaged = false);

  // Returns the counts, and logs them: as a warning if less than half matched, some matched only
  // repaired, or some that did not are damaged. Throws DataError if there was something to match
  // and nothing did.
  Coverage Finish() const;

 private:
  std::string of_, expected_, mapping_;
  int64_t matched_ = 0, missed_ = 0, repaired_ = 0, damaged_ = 0;
  CommonTexts misses_;
};

}  // namespace flame

#endif  // FLAME_DATA_TABLES_COVERAGE_COUNTER_H_
