#include "trainer/optimizer/make_optimizer.h"

#include "trainer/optimizer/adamw.h"
#include "trainer/optimizer/rmsprop.h"

namespace flame {

std::unique_ptr<Optimizer> MakeOptimizer(const NamedTensors& parameters,
                                         const OptimizerOptions& options, bool offload,
                                         const std::map<std::string, double>& rate_shares) {
  if (options.method == OptimizerOptions::Method::kRmsProp) {
    return std::make_unique<RmsProp>(parameters, options);
  }
  return std::make_unique<AdamW>(parameters, options, offload, rate_shares);
}

}  // namespace flame
