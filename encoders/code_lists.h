// The codes of several visits as tensors.
#ifndef FLAME_ENCODERS_CODE_LISTS_H_
#define FLAME_ENCODERS_CODE_LISTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "data/visit.h"

namespace flame {

// Codes of a list that an encoder can tell apart by their place, for dropout.
inline constexpr int64_t kMostCodes = 1 << 16;

// The lists of B visits, one behind the other.
struct CodeLists {
  at::Tensor codes;   // int64 [N]
  at::Tensor owners;  // int64 [N]: 0..B - 1
  at::Tensor rows;    // int64 [N]: visit * kMostCodes + place in its list, as rows of dropout masks
};

// Takes `list` of each of `visits`, whose `numbers` are their indices in the corpus; null visits
// have none. Codes from `num_known` on are left out: the encoder has not seen them.
CodeLists ListsOf(const std::vector<const Visit*>& visits, const std::vector<int32_t>& numbers,
                  std::vector<int32_t> Visit::*list, int64_t num_known);

}  // namespace flame

#endif  // FLAME_ENCODERS_CODE_LISTS_H_
