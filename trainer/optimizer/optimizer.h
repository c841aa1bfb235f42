// The update rule of a training.
#ifndef FLAME_TRAINER_OPTIMIZER_OPTIMIZER_H_
#define FLAME_TRAINER_OPTIMIZER_OPTIMIZER_H_

#include <cstdint>
#include <map>
#include <string>

#include "model/named_tensors.h"

namespace flame {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // Updates the parameters in place; `gradients` has an entry for every parameter.
  virtual void Update(const NamedTensors& gradients, double rate) = 0;
  // The state that a checkpoint keeps, by name ("exp_avg"): for each parameter a tensor of its
  // shape, which shares storage with the optimizer.
  virtual std::map<std::string, NamedTensors> State() const = 0;

  int64_t updates() const { return updates_; }
  void set_updates(int64_t updates) { updates_ = updates; }

 protected:
  int64_t updates_ = 0;
};

}  // namespace flame

#endif  // FLAME_TRAINER_OPTIMIZER_OPTIMIZER_H_
