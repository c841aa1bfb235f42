// RMSprop (Tieleman & Hinton 2012, lecture 6e) over named tensors.
#ifndef FLAME_TRAINER_OPTIMIZER_RMSPROP_H_
#define FLAME_TRAINER_OPTIMIZER_RMSPROP_H_

#include <map>
#include <string>

#include "model/named_tensors.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/options.h"

namespace flame {

// The update of a parameter p with gradient g, as torch.optim.RMSprop makes it:
//   g <- g + decay * p       v <- beta2 v + (1 - beta2) g^2       p <- p - rate g / (sqrt(v) + eps)
// v has the parameter's dtype and starts at 0.
class RmsProp : public Optimizer {
 public:
  RmsProp(NamedTensors parameters, const OptimizerOptions& options);
  void Update(const NamedTensors& gradients, double rate) override;
  std::map<std::string, NamedTensors> State() const override { return {{"square_avg", squares_}}; }

 private:
  NamedTensors parameters_, squares_;
  OptimizerOptions options_;
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_RMSPROP_H_
