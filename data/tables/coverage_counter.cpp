#include "data/tables/coverage_counter.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace flame {

constexpr size_t kShown = 80;  // characters of a text

void CoverageCounter::AddMatch(bool repaired, int64_t times) {
  matched_ += times;
  if (repaired) repaired_ += times;
}

void CoverageCounter::AddMiss(std::string_view text, int64_t times, bool damaged) {
  missed_ += times;
  if (damaged) damaged_ += times;
  misses_.Add(text, times);
}

std::string CommonTexts::Commonest(size_t most) const {
  std::vector<std::pair<std::string, int64_t>> order(counts_.begin(), counts_.end());
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::string text;
  for (size_t i = 0; i < std::min(order.size(), most); ++i) {
    const auto& [miss, times] = order[i];
    text += StrCat(i == 0 ? "'" : ", '", std::string_view(miss).substr(0, kShown),
                   miss.size() > kShown ? "..." : "", "'");
    if (times > 1) text += StrCat(" (", times, " times)");
  }
  return text;
}

Coverage CoverageCounter::Finish() const {
  const Coverage coverage{of_, matched_ + missed_, matched_, repaired_, misses_.Commonest()};
  if (coverage.total == 0) return coverage;
  std::string text = StrCat(of_, ": ", matched_, " of ", coverage.total);
  if (matched_ == 0) {
    throw DataError(text, "; expected ", expected_, ", found ", coverage.misses,
                    ": nothing of this hospital is in ", mapping_);
  }
  if (repaired_ > 0) text += StrCat(", ", repaired_, " of them not written as expected, repaired");
  if (damaged_ > 0) text += StrCat(", ", damaged_, " lost, since they are not written as expected");
  if (missed_ > 0) text += StrCat("; commonest without: ", coverage.misses);
  if (repaired_ > 0 || damaged_ > 0 || matched_ < missed_) {
    LogWarning("prepare: ", text, "; expected ", expected_);
  } else {
    LogInfo("prepare: ", text);
  }
  return coverage;
}

}  // namespace flame
