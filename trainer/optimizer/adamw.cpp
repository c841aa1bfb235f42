#include "trainer/optimizer/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <utility>
#include <vector>

namespace flame {

AdamW::AdamW(NamedTensors parameters, const OptimizerOptions& options, bool offload)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) {
    const at::TensorOptions place =
        parameter.options().device(offload ? at::Device(at::kCPU) : parameter.device());
    exp_avg_[name] = at::zeros(parameter.sizes(), place);
    exp_avg_sq_[name] = at::zeros(parameter.sizes(), place);
  }
}

void AdamW::Update(const NamedTensors& gradients, double rate) {
  const c10::NoGradGuard no_grad;
  ++updates_;
  std::vector<at::Tensor> values, grads, exp_avgs, exp_avg_sqs, updates;
  for (const auto& [name, parameter] : parameters_) {
    const at::Device place = exp_avg_.at(name).device();
    values.push_back(parameter.detach().to(place));
    grads.push_back(gradients.at(name).to(place));
    exp_avgs.push_back(exp_avg_.at(name));
    exp_avg_sqs.push_back(exp_avg_sq_.at(name));
    updates.push_back(
        at::full({}, static_cast<double>(updates_), at::TensorOptions(at::kFloat).device(place)));
  }
  at::_fused_adamw_(values, grads, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, updates, rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
  size_t i = 0;
  for (const auto& [name, parameter] : parameters_) {
    const at::Tensor& updated = values[i++];
    if (updated.device() != parameter.device()) at::Tensor(parameter).copy_(updated);
  }
}

}  // namespace flame
