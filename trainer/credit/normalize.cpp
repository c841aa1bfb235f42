#include "trainer/credit/normalize.h"

#include <cmath>
#include <cstddef>

namespace flame {

Spread SpreadOf(const std::vector<double>& values) {
  Spread spread;
  for (const double value : values) spread.mean += value;
  spread.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return spread;
  double squares = 0;
  for (const double value : values) {
    const double distance = value - spread.mean;
    squares += distance * distance;
  }
  spread.std = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return spread;
}

std::vector<double> Normalized(const std::vector<double>& values, const Normalizer& normalizer) {
  std::vector<double> normalized(values.size(), 0);
  if (values.size() < 2) return normalized;
  const Spread spread = SpreadOf(values);
  const double scale = normalizer.scale ? spread.std + normalizer.epsilon : 1;
  for (size_t i = 0; i < values.size(); ++i) normalized[i] = (values[i] - spread.mean) / scale;
  return normalized;
}

}  // namespace flame
