#include "trainer/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <utility>
#include <vector>

namespace flame {

AdamW::AdamW(NamedTensors parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) {
    exp_avg_[name] = at::zeros_like(parameter, at::MemoryFormat::Contiguous);
    exp_avg_sq_[name] = at::zeros_like(parameter, at::MemoryFormat::Contiguous);
  }
}

void AdamW::Update(const NamedTensors& gradients, double rate) {
  const c10::NoGradGuard no_grad;
  ++updates_;
  std::vector<at::Tensor> values, grads, exp_avgs, exp_avg_sqs, updates;
  for (const auto& [name, parameter] : parameters_) {
    values.push_back(parameter);
    grads.push_back(gradients.at(name));
    exp_avgs.push_back(exp_avg_.at(name));
    exp_avg_sqs.push_back(exp_avg_sq_.at(name));
    updates.push_back(at::full({}, static_cast<double>(updates_),
                               at::TensorOptions(at::kFloat).device(parameter.device())));
  }
  at::_fused_adamw_(values, grads, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, updates, rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

}  // namespace flame
