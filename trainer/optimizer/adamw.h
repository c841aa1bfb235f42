// AdamW (Loshchilov & Hutter 2019) over named tensors.
#ifndef FLAME_TRAINER_OPTIMIZER_ADAMW_H_
#define FLAME_TRAINER_OPTIMIZER_ADAMW_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "model/named_tensors.h"
#include "trainer/options.h"

namespace flame {

// Per parameter p with gradient g, at update t (from 1):
//   p <- p - rate * decay * p
//   m <- beta1 m + (1 - beta1) g          v <- beta2 v + (1 - beta2) g^2
//   p <- p - rate * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
// Moments have the parameter's dtype and start at 0. With `offload` they lie on the CPU, to which
// an update takes parameters and gradients and back: less memory on a GPU for a slower update.
class AdamW {
 public:
  AdamW(NamedTensors parameters, const OptimizerOptions& options, bool offload = false);
  // One update in place; `gradients` holds every parameter's name.
  void Update(const NamedTensors& gradients, double rate);

  // The moments by the parameters' names; they share storage with the optimizer's own.
  const NamedTensors& exp_avg() const { return exp_avg_; }
  const NamedTensors& exp_avg_sq() const { return exp_avg_sq_; }
  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }

 private:
  NamedTensors parameters_, exp_avg_, exp_avg_sq_;
  OptimizerOptions options_;
  int64_t updates_ = 0;
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_ADAMW_H_
