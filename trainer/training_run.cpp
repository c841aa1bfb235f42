#include "trainer/training_run.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/trace.h"
#include "comm/wire.h"
#include "trainer/optimizer/clip.h"
#include "trainer/optimizer/schedule.h"

namespace flame {

TrainingRun::TrainingRun(const TrainingJob& job, ShardedModel* model, const NamedTensors& trainable,
                         TrainingRunOptions options)
    : job_(job),
      options_(std::move(options)),
      parameters_(model, trainable, job_.sharding, job_.learners, job_.on_device),
      optimizer_(MakeOptimizer(parameters_.shards(), options_.optimizer,
                               job_.sharding.offload_optimizer,
                               {{kOtherUnit, options_.optimizer.projector_rate}})),
      writer_(job_.folder, options_.retention, job_.learners),
      history_(at::zeros({options_.steps}, at::kDouble)) {
  AddSharded("parameter.", parameters_.shards());
  for (const auto& [name, tensors] : optimizer_->State()) AddSharded(name + ".", tensors);
  AddState("history", history_);
  if (rank() == 0 && job_.sharding.offload_optimizer && model->device().is_cpu()) {
    LogWarning(options_.label,
               ": cluster.offload=optimizer has no effect: model.device is cpu, so the ",
               "optimizer's state is in the host's memory anyway");
  }
  const int64_t updates = options_.steps * options_.updates_per_step;
  if (rank() == 0 && options_.optimizer.warmup > updates) {
    LogWarning(options_.label, ": ", options_.optimizer.warmup, " updates of warm-up outlast the ",
               updates, " of the run, whose learning rate stays below ",
               options_.optimizer.learning_rate, "; lower ", options_.label, ".warmup");
  }
}

void TrainingRun::AddSharded(const std::string& prefix, const NamedTensors& flat) {
  parameters_.AddSlices(prefix, flat, &slices_);
}

void TrainingRun::AddState(const std::string& name, const at::Tensor& tensor) {
  // Only learner 0 writes it.
  whole_slices_.push_back({name, tensor.sizes().vec(), 0, tensor.flatten()});
}

void TrainingRun::Resume() {
  std::vector<CheckpointSlice> slices = slices_;
  slices.insert(slices.end(), whole_slices_.begin(), whole_slices_.end());
  const auto info = LoadLatestCheckpoint(job_.folder, job_.config_sha256, job_.settings, slices);
  Resumed resumed;
  if (info) resumed = {info->step, info->numbers.at("optimizer_updates"), info->value};
  resumed = AgreeOnResumed(resumed, slices);
  if (resumed.step < 0) return;
  parameters_.Publish();
  step_ = resumed.step;
  optimizer_->set_updates(resumed.updates);
  if (!done() && rank() == 0) {
    LogInfo(options_.label, ": resumed at step ", step_, " of ", options_.steps);
  }
}

TrainingRun::Resumed TrainingRun::AgreeOnResumed(const Resumed& own,
                                                 const std::vector<CheckpointSlice>& slices) {
  const auto text = [](const Resumed& resumed) {
    WireWriter out;
    out.Pod(resumed);
    return out.Take();
  };
  const std::vector<std::string> all = GatherTexts(job_.learners, text(own));
  const Resumed first = WireReader(all[0]).Pod<Resumed>();
  bool others_alike = true;
  for (size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    others_alike = false;
    const Resumed other = WireReader(all[r]).Pod<Resumed>();
    // Without a common folder only learner 0 has checkpoints; they hold all weights.
    const bool can_follow = job_.sharding.policy == Sharding::kNone && other.step < 0;
    if (can_follow) continue;
    const auto words = [](const Resumed& resumed) {
      return resumed.step < 0 ? std::string("no checkpoint") : StrCat("one of step ", resumed.step);
    };
    throw MachineError(options_.label, ": learner 0 finds ", words(first), " in ",
                       (job_.folder / "checkpoints").string(), ", learner ", r, " ", words(other),
                       "; expected the same, in a folder that all learners share");
  }
  if (others_alike) return own;
  const c10::NoGradGuard no_grad;
  for (const CheckpointSlice& slice : slices) {
    const at::Tensor host = slice.data.cpu().contiguous();
    job_.learners->Broadcast(host, 0)->Wait();
    slice.data.copy_(host);
  }
  return first;
}

int64_t TrainingRun::CountPasses(int64_t own) const {
  return static_cast<int64_t>(MaxOverRanks(job_.learners, {static_cast<double>(own)})[0]);
}

TrainingRun::Update TrainingRun::EndUpdate() {
  parameters_.FinishGradients();
  Update update;
  update.grad_norm = parameters_.GradientNorm();
  if (!std::isfinite(update.grad_norm)) {
    throw MachineError(options_.label, ": the gradient's norm is ", update.grad_norm, " at step ",
                       step_ + 1, " of ", options_.steps,
                       "; expected a finite number. The last "
                       "checkpoint in ",
                       (job_.folder / "checkpoints").string(), " is whole");
  }
  const double scale = ClipScale(update.grad_norm, options_.optimizer.grad_clip);
  if (scale < 1) parameters_.ScaleGradients(scale);
  const int64_t total = options_.steps * options_.updates_per_step;
  update.learning_rate = options_.optimizer.learning_rate *
                         LearningRateFactor(options_.optimizer, optimizer_->updates() + 1, total);
  const TraceScope trace("optimizer");
  optimizer_->Update(parameters_.gradients(), update.learning_rate);
  for (const auto& [name, shard] : parameters_.shards()) {
    // A sum is finite only if every element is.
    if (std::isfinite(shard.sum(at::kDouble).item<double>())) continue;
    throw MachineError(
        options_.label, ": a parameter of ", name, " is not finite after the update of step ",
        step_ + 1, " of ", options_.steps, " at learning rate ", update.learning_rate,
        "; the last checkpoint in ", (job_.folder / "checkpoints").string(), " is whole");
  }
  parameters_.Publish();
  return update;
}

void TrainingRun::EndStep(double value, bool last) {
  history_.mutable_data_ptr<double>()[step_] = value;
  ++step_;
  const bool writing = writer_.pending() && !writer_.written();
  const std::vector<double> votes =
      MaxOverRanks(job_.learners, {StopRequested() ? 1.0 : 0.0, writing ? 1.0 : 0.0});
  const bool stop = votes[0] > 0;
  last = last || done();
  if (writer_.pending() && votes[1] == 0) Publish();
  if (stop || last || step_ % options_.checkpoint_every == 0) BeginSave();
  if ((stop || last) && writer_.pending()) Publish();
  if (stop && !last) {
    throw Stopped(options_.label, ": stopped on a signal after step ", step_, " of ",
                  options_.steps, "; the same command goes on from there");
  }
}

void TrainingRun::Publish() {
  writer_.Publish();
  LogDebug(options_.label, ": a checkpoint is whole, at step ", step_);
}

void TrainingRun::Finish() {
  if (writer_.pending()) Publish();
}

void TrainingRun::BeginSave() {
  CheckpointInfo info;
  info.step = step_;
  info.config_sha256 = job_.config_sha256;
  info.settings = job_.settings;
  info.ranks = size();
  const int64_t since = std::min(step_, options_.checkpoint_every);
  info.value = MeanOf(step_ - since, since);
  info.numbers = {{"optimizer_updates", optimizer_->updates()},
                  {"seed", static_cast<int64_t>(job_.seed)}};
  std::vector<CheckpointSlice> slices;
  if (parameters_.writes()) slices = slices_;
  if (rank() == 0) slices.insert(slices.end(), whole_slices_.begin(), whole_slices_.end());
  writer_.Begin(info, slices);
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

uint64_t TrainingRun::DropoutSeed() const {
  return RandomStream(job_.seed, kDropout, static_cast<uint32_t>(step_)).Next() | 1;
}

}  // namespace flame
