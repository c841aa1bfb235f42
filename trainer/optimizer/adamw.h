// AdamW (Loshchilov & Hutter 2019) over named tensors.
#ifndef FLAME_TRAINER_OPTIMIZER_ADAMW_H_
#define FLAME_TRAINER_OPTIMIZER_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/named_tensors.h"
#include "trainer/optimizer/optimizer.h"
#include "trainer/options.h"

namespace flame {

// The update of a parameter p with gradient g, at update t (from 1):
//   p <- p - rate * decay * p
//   m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
//   p <- p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
// Moments have the parameter's dtype and start at 0.
class AdamW : public Optimizer {
 public:
  // `offload` and `rate_shares`: see MakeOptimizer.
  AdamW(NamedTensors parameters, const OptimizerOptions& options, bool offload = false,
        std::map<std::string, double> rate_shares = {});
  void Update(const NamedTensors& gradients, double rate) override;
  std::map<std::string, NamedTensors> State() const override {
    return {{"exp_avg", exp_avg_}, {"exp_avg_sq", exp_avg_sq_}};
  }

  const NamedTensors& exp_avg() const { return exp_avg_; }
  const NamedTensors& exp_avg_sq() const { return exp_avg_sq_; }

 private:
  NamedTensors parameters_, exp_avg_, exp_avg_sq_;
  OptimizerOptions options_;
  std::map<double, std::vector<std::string>> by_share_;  // names of the parameters

  void UpdateAlike(const std::vector<std::string>& names, const NamedTensors& gradients,
                   double rate);
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_ADAMW_H_
