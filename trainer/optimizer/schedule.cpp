#include "trainer/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace flame {

double LearningRateFactor(const OptimizerOptions& options, int64_t update, int64_t total) {
  const double warmup = static_cast<double>(options.warmup);
  const double at = static_cast<double>(update);
  if (update <= options.warmup) return at / warmup;
  const double progress = (at - warmup) / (static_cast<double>(total) + 1 - warmup);
  if (options.schedule == "constant") return 1;
  if (options.schedule == "linear") return 1 - progress;
  if (options.schedule == "cosine") return (1 + std::cos(std::numbers::pi * progress)) / 2;
  if (options.schedule == "inverse_sqrt") return std::sqrt(std::max(warmup, 1.0) / at);
  throw UsageError("schedule is '", options.schedule,
                   "'; expected constant, linear, cosine or inverse_sqrt");
}

}  // namespace flame
