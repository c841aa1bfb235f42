#include "trainer/training_run.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/signals.h"
#include "trainer/checkpoint.h"
#include "trainer/schedule.h"

namespace flame {
namespace {

std::vector<double> Reduce(Communicator* learners, const std::vector<double>& values, ReduceOp op) {
  if (learners == nullptr) return values;
  at::Tensor buffer = at::empty({static_cast<int64_t>(values.size())}, at::kDouble);
  std::copy(values.begin(), values.end(), buffer.mutable_data_ptr<double>());
  learners->AllReduce(buffer, op)->Wait();
  const double* reduced = buffer.const_data_ptr<double>();
  return {reduced, reduced + values.size()};
}

}  // namespace

std::vector<double> SumOverLearners(Communicator* learners, const std::vector<double>& values) {
  return Reduce(learners, values, ReduceOp::kSum);
}

double MaxOverLearners(Communicator* learners, double value) {
  return Reduce(learners, {value}, ReduceOp::kMax)[0];
}

TrainingRun::TrainingRun(const NamedTensors& parameters, TrainingRunOptions options)
    : parameters_(parameters),
      options_(std::move(options)),
      gradients_(parameters_),
      optimizer_(parameters_, options_.optimizer),
      history_(at::zeros({options_.steps}, at::kDouble)) {
  const auto info = LoadLatestCheckpoint(options_.folder, options_.config_sha256, State());
  if (!info) return;
  step_ = info->step;
  optimizer_.set_updates(info->numbers.at("optimizer_updates"));
  if (!done() && rank() == 0) {
    LogInfo(options_.label, ": resumed at step ", step_, " of ", options_.steps);
  }
}

TrainingRun::Update TrainingRun::EndUpdate() {
  gradients_.AllReduce(options_.learners);
  Update update;
  update.grad_norm = gradients_.Clip(options_.optimizer.grad_clip);
  if (!std::isfinite(update.grad_norm)) {
    throw MachineError(options_.label, ": the gradient's norm is ", update.grad_norm, " at step ",
                       step_ + 1, " of ", options_.steps,
                       "; expected a finite number. The last "
                       "checkpoint in ",
                       (options_.folder / "checkpoints").string(), " is whole");
  }
  const int64_t total = options_.steps * options_.updates_per_step;
  update.learning_rate = options_.optimizer.learning_rate *
                         LearningRateFactor(options_.optimizer, optimizer_.updates() + 1, total);
  optimizer_.Update(gradients_.views(), update.learning_rate);
  for (const auto& [name, parameter] : parameters_) {
    // A sum is finite only if every element is.
    if (std::isfinite(parameter.detach().sum(at::kDouble).item<double>())) continue;
    throw MachineError(options_.label, ": ", name, " is not finite after the update of step ",
                       step_ + 1, " of ", options_.steps, " at learning rate ",
                       update.learning_rate, "; the last checkpoint in ",
                       (options_.folder / "checkpoints").string(), " is whole");
  }
  return update;
}

void TrainingRun::EndStep(double value, bool last) {
  history_.mutable_data_ptr<double>()[step_] = value;
  ++step_;
  const bool stop = MaxOverLearners(options_.learners, StopRequested() ? 1 : 0) > 0;
  last = last || done();
  if (stop || last || step_ % options_.checkpoint_every == 0) Save();
  if (stop && !last) {
    throw Stopped(options_.label, ": stopped on a signal after step ", step_, " of ",
                  options_.steps, "; the same command goes on from there");
  }
}

void TrainingRun::Save() {
  if (rank() == 0) {
    SaveCheckpoint(options_.folder,
                   {step_,
                    options_.config_sha256,
                    size(),
                    {{"optimizer_updates", optimizer_.updates()},
                     {"seed", static_cast<int64_t>(options_.seed)}}},
                   State());
  }
  // No learner goes on, or ends, before the checkpoint is there.
  if (options_.learners != nullptr) options_.learners->Barrier();
}

NamedTensors TrainingRun::State() const {
  NamedTensors state = options_.state;
  state.merge(optimizer_.Moments());
  for (const auto& [name, parameter] : parameters_) state["parameter." + name] = parameter;
  state["history"] = history_;
  return state;
}

int64_t TrainingRun::WindowSize(double share) const {
  return std::clamp<int64_t>(std::llround(share * static_cast<double>(step_)), 1, step_);
}

double TrainingRun::MeanOf(int64_t begin, int64_t count) const {
  return history_.narrow(0, begin, count).mean().item<double>();
}

double TrainingRun::FirstMean(double share) const { return MeanOf(0, WindowSize(share)); }

double TrainingRun::LastMean(double share) const {
  const int64_t count = WindowSize(share);
  return MeanOf(step_ - count, count);
}

uint64_t TrainingRun::DropoutSeed(int64_t micro_batch) const {
  const auto part = static_cast<uint32_t>(micro_batch * size() + rank());
  return RandomStream(options_.seed, kDropout, static_cast<uint32_t>(step_), part).Next() | 1;
}

}  // namespace flame
