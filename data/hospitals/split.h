// The shares of visits for training, validation and test.
#ifndef FLAME_DATA_HOSPITALS_SPLIT_H_
#define FLAME_DATA_HOSPITALS_SPLIT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/visit.h"

namespace flame {

// In each of these, `shares` are three, of train, validation and test, whose sum is not 0. Of n
// things in an order, the first floor(n * a / sum) go to training, those up to
// floor(n * (a + b) / sum) to validation, the rest to test. The order of the visits stays.

// Cuts the visits in their order. The visits of one patient may fall into two splits.
void SplitByPosition(const std::vector<int64_t>& shares, std::vector<Visit>* visits);

// Cuts the patients in order of Visit::patient, which must count from 0 without gaps. All visits of
// a patient are in one split.
void SplitByPatient(const std::vector<int64_t>& shares, std::vector<Visit>* visits);

// Cuts the visits in order of Visit::year, those of one year in their own order. No visit has a
// later year than one of a later split. Throws UsageError if a visit has no year.
void SplitByTime(const std::vector<int64_t>& shares, std::vector<Visit>* visits);

// Does what `by`, the value of data.split_by, says: position, patient or time. Throws UsageError on
// another.
void SplitVisits(const std::string& by, const std::vector<int64_t>& shares,
                 std::vector<Visit>* visits);

// Returns "train", "validation" or "test".
std::string NameOf(Split split);

// Returns the split of that name; nothing for another name.
std::optional<Split> SplitNamed(std::string_view name);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_SPLIT_H_
