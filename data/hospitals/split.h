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

// Cuts the visits, in their order, into three stretches in proportion to three shares whose sum is
// not 0.
void SplitByPosition(const std::vector<int64_t>& shares, std::vector<Visit>* visits);

// Returns "train", "validation" or "test".
std::string NameOf(Split split);

// Returns the split of that name; nothing for another name.
std::optional<Split> SplitNamed(std::string_view name);

}  // namespace flame

#endif  // FLAME_DATA_HOSPITALS_SPLIT_H_
