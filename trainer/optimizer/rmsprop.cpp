#include "trainer/optimizer/rmsprop.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <utility>

namespace flame {

RmsProp::RmsProp(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) squares_[name] = at::zeros_like(parameter);
}

void RmsProp::Update(const NamedTensors& gradients, double rate) {
  const c10::NoGradGuard no_grad;
  ++updates_;
  for (auto& [name, parameter] : parameters_) {
    const at::Tensor gradient = gradients.at(name) + options_.weight_decay * parameter;
    at::Tensor& squares = squares_.at(name);
    squares.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    parameter.addcdiv_(gradient, squares.sqrt().add_(options_.epsilon), -rate);
  }
}

}  // namespace flame
