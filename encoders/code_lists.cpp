#include "encoders/code_lists.h"

#include "encoders/long_tensor.h"

namespace flame {
CodeLists ListsOf(const std::vector<const Visit*>& visits, const std::vector<int32_t>& numbers,
                  std::vector<int32_t> Visit::*list, int64_t num_known) {
  std::vector<int64_t> codes, owners, rows;
  for (size_t b = 0; b < visits.size(); ++b) {
    if (visits[b] == nullptr) continue;
    int64_t place = 0;
    for (const int32_t code : visits[b]->*list) {
      if (code >= num_known) continue;
      codes.push_back(code);
      owners.push_back(static_cast<int64_t>(b));
      rows.push_back(numbers[b] * kMostCodes + place++);
    }
  }
  return {LongTensor(codes), LongTensor(owners), LongTensor(rows)};
}

}  // namespace flame
