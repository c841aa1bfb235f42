// Values relative to the others of their set, the baseline of GRPO and its relatives.
#ifndef FLAME_TRAINER_CREDIT_NORMALIZE_H_
#define FLAME_TRAINER_CREDIT_NORMALIZE_H_

#include <vector>

namespace flame {

struct Spread {
  double mean = 0, std = 0;  // std divides by the size less 1; 0 for one value
};
Spread SpreadOf(const std::vector<double>& values);

struct Normalizer {
  bool scale = true;  // divide by std + epsilon
  double epsilon = 0;
};
// Returns value - mean, divided by std + epsilon if the normalizer scales; 0 if there is one value.
std::vector<double> Normalized(const std::vector<double>& values, const Normalizer& normalizer);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_NORMALIZE_H_
