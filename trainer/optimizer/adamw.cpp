#include "trainer/optimizer/adamw.h"

#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <utility>
#include <vector>

namespace flame {

AdamW::AdamW(NamedTensors parameters, const OptimizerOptions& options, bool offload,
             std::map<std::string, double> rate_shares)
    : parameters_(std::move(parameters)), options_(options) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, parameter] : parameters_) {
    const at::TensorOptions place =
        parameter.options().device(offload ? at::Device(at::kCPU) : parameter.device());
    exp_avg_[name] = at::zeros(parameter.sizes(), place);
    exp_avg_sq_[name] = at::zeros(parameter.sizes(), place);
    const auto share = rate_shares.find(name);
    by_share_[share == rate_shares.end() ? 1.0 : share->second].push_back(name);
  }
}

void AdamW::Update(const NamedTensors& gradients, double rate) {
  const c10::NoGradGuard no_grad;
  ++updates_;
  for (const auto& [share, names] : by_share_) UpdateAlike(names, gradients, share * rate);
}

void AdamW::UpdateAlike(const std::vector<std::string>& names, const NamedTensors& gradients,
                        double rate) {
  std::vector<at::Tensor> values, grads, exp_avgs, exp_avg_sqs, updates;
  for (const std::string& name : names) {
    const at::Device place = exp_avg_.at(name).device();
    values.push_back(parameters_.at(name).detach().to(place));
    grads.push_back(gradients.at(name).to(place));
    exp_avgs.push_back(exp_avg_.at(name));
    exp_avg_sqs.push_back(exp_avg_sq_.at(name));
    updates.push_back(
        at::full({}, static_cast<double>(updates_), at::TensorOptions(at::kFloat).device(place)));
  }
  at::_fused_adamw_(values, grads, exp_avgs, exp_avg_sqs, /*max_exp_avg_sqs=*/{}, updates, rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
  for (size_t i = 0; i < names.size(); ++i) {
    at::Tensor parameter = parameters_.at(names[i]);
    if (values[i].device() != parameter.device()) parameter.copy_(values[i]);
  }
}

}  // namespace flame
