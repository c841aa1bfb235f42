#include "trainer/supervised/early_stopping.h"

#include <ATen/ops/full.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files/atomic_file.h"

namespace flame {

EarlyStopping::EarlyStopping(int64_t every, int64_t patience, int64_t steps)
    : every_(every), patience_(patience), steps_(steps) {
  const int64_t evaluations = every == 0 ? 0 : (steps + every - 1) / every;
  losses_ = at::full({evaluations}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
}

bool EarlyStopping::Due(int64_t step) const {
  return every_ > 0 && (step % every_ == 0 || step == steps_);
}

bool EarlyStopping::Record(double loss) {
  if (!std::isfinite(loss)) {
    throw MachineError("the validation loss is ", loss, " after step ", StepOf(count_),
                       "; expected a finite number");
  }
  losses_.mutable_data_ptr<double>()[count_] = loss;
  const bool better = best_ < 0 || loss < LossOf(best_);
  if (better) best_ = count_;
  ++count_;
  return better;
}

void EarlyStopping::Resume(int64_t step) {
  count_ = 0;
  best_ = -1;
  while (count_ < losses_.numel() && StepOf(count_) <= step) Record(LossOf(count_));
}

int64_t EarlyStopping::best_step() const { return best_ < 0 ? 0 : StepOf(best_); }

double EarlyStopping::best_loss() const { return LossOf(best_); }

bool EarlyStopping::stopped() const { return patience_ > 0 && count_ - 1 - best_ >= patience_; }

bool EarlyStopping::stopped_early() const { return stopped() && count_ < losses_.numel(); }

int64_t EarlyStopping::StepOf(int64_t evaluation) const {
  return std::min((evaluation + 1) * every_, steps_);
}

double EarlyStopping::LossOf(int64_t evaluation) const {
  return losses_.const_data_ptr<double>()[evaluation];
}

BestWeights::BestWeights(const NamedTensors& parameters) : parameters_(parameters) {
  for (const auto& [name, parameter] : parameters_) best_[name] = parameter.detach().clone();
}

void BestWeights::Keep() {
  for (auto& [name, kept] : best_) kept.copy_(parameters_.at(name).detach());
}

void BestWeights::Restore() {
  const c10::NoGradGuard no_grad;
  for (auto& [name, parameter] : parameters_) parameter.copy_(best_.at(name));
}

void WriteValidation(const EarlyStopping& evaluations, const std::filesystem::path& folder) {
  nlohmann::json rows = nlohmann::json::array();
  for (int64_t i = 0; i < evaluations.count(); ++i) {
    rows.push_back({{"step", evaluations.StepOf(i)}, {"loss", evaluations.LossOf(i)}});
  }
  const nlohmann::json result = {{"best_step", evaluations.best_step()},
                                 {"best_loss", evaluations.best_loss()},
                                 {"stopped_early", evaluations.stopped_early()},
                                 {"evaluations", rows}};
  WriteFileAtomically(folder / "validation.json", result.dump(1) + "\n");
}

}  // namespace flame
