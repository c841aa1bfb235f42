// The gradients of a step in one flat buffer: the one place where learners meet, and where sharding
// would replace the all-reduce by a reduce-scatter.
#ifndef FLAME_TRAINER_GRADIENTS_H_
#define FLAME_TRAINER_GRADIENTS_H_

#include <ATen/core/Tensor.h>

#include "comm/communicator.h"
#include "trainer/adamw.h"

namespace flame {

// Makes every parameter's .grad a view of the buffer, so that backward adds to it in place.
class Gradients {
 public:
  // Throws UsageError if there are no parameters or they differ in dtype.
  explicit Gradients(const NamedTensors& parameters);
  ~Gradients();  // takes the views off the parameters again
  Gradients(const Gradients&) = delete;
  Gradients& operator=(const Gradients&) = delete;

  void Zero();
  // The sum over learners, in rank order; null: one rank.
  void AllReduce(Communicator* learners);
  // Scales so that the global 2-norm is at most max_norm (0: leaves them), as torch's
  // clip_grad_norm_; returns the norm before.
  double Clip(double max_norm);
  const NamedTensors& views() const { return views_; }

 private:
  NamedTensors parameters_, views_;
  at::Tensor buffer_;  // [elements of all parameters], in order of name
};

}  // namespace flame

#endif  // FLAME_TRAINER_GRADIENTS_H_
