#ifndef FLAME_TRAINER_OPTIMIZER_MAKE_OPTIMIZER_H_
#define FLAME_TRAINER_OPTIMIZER_MAKE_OPTIMIZER_H_

#include <map>
#include <memory>
#include <string>

#include "trainer/optimizer/optimizer.h"
#include "trainer/options.h"

namespace flame {

// Makes the optimizer of options.method. With `offload` its state stays on the CPU: an update
// copies parameters and gradients there and the parameters back, which saves GPU memory and is
// slower. A parameter in `rate_shares` has its share of the rate; the others have the whole rate.
std::unique_ptr<Optimizer> MakeOptimizer(const NamedTensors& parameters,
                                         const OptimizerOptions& options, bool offload,
                                         const std::map<std::string, double>& rate_shares);

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_MAKE_OPTIMIZER_H_
