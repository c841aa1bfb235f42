#include "trainer/gradients.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "base/error.h"

namespace flame {

Gradients::Gradients(const NamedTensors& parameters) : parameters_(parameters) {
  if (parameters_.empty()) throw UsageError("training: the policy has no trainable tensor");
  const auto dtype = parameters_.begin()->second.scalar_type();
  int64_t size = 0;
  for (const auto& [name, parameter] : parameters_) {
    if (parameter.scalar_type() != dtype) {
      throw UsageError("training: '", name, "' is ", c10::toString(parameter.scalar_type()), ", '",
                       parameters_.begin()->first, "' is ", c10::toString(dtype),
                       "; trainable tensors have one dtype");
    }
    size += parameter.numel();
  }
  buffer_ = at::zeros({size}, parameters_.begin()->second.options());
  int64_t offset = 0;
  for (auto& [name, parameter] : parameters_) {
    views_[name] = buffer_.narrow(0, offset, parameter.numel()).view(parameter.sizes());
    offset += parameter.numel();
    parameter.mutable_grad() = views_[name];
  }
}

Gradients::~Gradients() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad() = at::Tensor();
}

void Gradients::Zero() { buffer_.zero_(); }

void Gradients::AllReduce(Communicator* learners) {
  if (learners == nullptr) return;
  const at::Tensor host = buffer_.cpu();  // the buffer itself on the CPU
  learners->AllReduce(host, ReduceOp::kSum)->Wait();
  if (!buffer_.is_cpu()) buffer_.copy_(host);
}

double Gradients::Clip(double max_norm) {
  const c10::NoGradGuard no_grad;
  double squares = 0;
  for (const auto& [name, view] : views_) {
    const at::Tensor wide = view.to(at::kDouble).flatten();
    squares += wide.dot(wide).item<double>();
  }
  const double norm = std::sqrt(squares);
  const double scale = max_norm / (norm + 1e-6);
  if (max_norm > 0 && scale < 1) buffer_.mul_(scale);
  return norm;
}

}  // namespace flame
