#include "data/hospitals/split.h"

namespace flame {

void SplitByPosition(const std::vector<int64_t>& shares, std::vector<Visit>* visits) {
  const int64_t n = static_cast<int64_t>(visits->size());
  const int64_t sum = shares[0] + shares[1] + shares[2];
  const int64_t train_end = n * shares[0] / sum;
  const int64_t validation_end = n * (shares[0] + shares[1]) / sum;
  for (int64_t i = 0; i < n; ++i) {
    (*visits)[i].split = i < train_end        ? Split::kTrain
                         : i < validation_end ? Split::kValidation
                                              : Split::kTest;
  }
}

std::string NameOf(Split split) {
  return split == Split::kTrain ? "train" : split == Split::kValidation ? "validation" : "test";
}

std::optional<Split> SplitNamed(std::string_view name) {
  for (const Split split : {Split::kTrain, Split::kValidation, Split::kTest}) {
    if (name == NameOf(split)) return split;
  }
  return std::nullopt;
}

}  // namespace flame
