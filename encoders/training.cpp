#include "encoders/training.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "base/clock.h"
#include "base/error.h"
#include "trainer/sft/sft_order.h"

namespace flame {
namespace {

using nlohmann::json;
using Batches = std::vector<std::vector<int32_t>>;

constexpr int64_t kCodesAtOnce = 8192;  // of a forward, padding counted; limits memory
constexpr int64_t kSortWindow = 16;     // steps whose visits are sorted by length together

// Cuts visits into forwards. Visits that come longest first need little padding.
Batches CutBatches(const EncoderJob& job, const std::vector<int32_t>& visits) {
  Batches batches;
  int64_t longest = 0;
  for (const int32_t visit : visits) {
    const int64_t length = std::max<int64_t>(job.length(visit), 1);
    const int64_t size = batches.empty() ? 0 : static_cast<int64_t>(batches.back().size());
    if (size == 0 || (size + 1) * std::max(longest, length) > kCodesAtOnce) {
      batches.emplace_back();
      longest = 0;
    }
    longest = std::max(longest, length);
    batches.back().push_back(visit);
  }
  return batches;
}

SftOrder OrderOf(const EncoderJob& job) {
  return {{job.seed, static_cast<int64_t>(job.train.size()), job.options.batch, kSortWindow},
          [&job](int64_t example) { return job.length(job.train[example]); }};
}

json TrainStep(const EncoderJob& job, SftOrder* order, TrainingRun* run) {
  const auto start = Clock::now();
  const std::vector<int64_t> examples = order->Step(run->step());
  std::vector<int32_t> own;
  for (const int64_t example :
       job.whole_batches ? examples : ShareOf(examples, run->rank(), run->size())) {
    own.push_back(job.train[example]);
  }
  const double count = static_cast<double>(examples.size()) * (job.whole_batches ? run->size() : 1);
  run->BeginUpdate();
  double sum = 0;
  Batches passes = job.whole_batches ? Batches{own} : CutBatches(job, own);
  passes.resize(run->CountPasses(static_cast<int64_t>(passes.size())));
  for (const std::vector<int32_t>& pass : passes) {
    run->BeginPass();
    if (!pass.empty()) {
      const at::Tensor loss = job.loss(pass, run->DropoutSeed()).sum() / count;
      loss.backward();
      sum += loss.item<double>();
    }
    run->EndPass();
  }
  const double loss = SumOverRanks(job.learners, {sum})[0];
  const TrainingRun::Update update = run->EndUpdate();
  return {{"loss", loss},
          {"grad_norm", update.grad_norm},
          {"learning_rate", update.learning_rate},
          {"examples", examples.size()},
          {"seconds", SecondsSince(start)}};
}

// The mean loss over the validation visits. Batches are dealt to learners and their sums added in
// order, so that any number of learners gets the same bits.
double ValidationLoss(const EncoderJob& job, const Batches& batches) {
  const c10::NoGradGuard no_grad;
  const int rank = job.learners == nullptr ? 0 : job.learners->rank();
  const int size = job.learners == nullptr ? 1 : job.learners->size();
  const int64_t count = static_cast<int64_t>(batches.size());
  at::Tensor sums = at::zeros({count}, at::kDouble);
  for (int64_t i = rank; i < count; i += size) {
    sums.mutable_data_ptr<double>()[i] = job.loss(batches[i], 0).sum(at::kDouble).item<double>();
  }
  if (job.learners != nullptr) job.learners->AllReduce(sums, ReduceOp::kSum)->Wait();
  double total = 0;
  for (int64_t i = 0; i < count; ++i) total += sums.const_data_ptr<double>()[i];
  return total / static_cast<double>(job.validation.size());
}

Batches ValidationBatches(const EncoderJob& job) {
  std::vector<int32_t> visits = job.validation;
  std::stable_sort(visits.begin(), visits.end(),
                   [&](int32_t a, int32_t b) { return job.length(a) > job.length(b); });
  return CutBatches(job, visits);
}

}  // namespace

SupervisedReport TrainEncoder(const EncoderJob& job, const std::function<void()>& end) {
  if (job.train.empty()) {
    throw DataError(job.label, ": there is nothing to train on; expected one example at least");
  }
  SftOrder order = OrderOf(job);
  SupervisedLoop loop;
  loop.run.label = job.label;
  loop.run.optimizer = job.options.optimizer;
  loop.run.retention = {2, 0, /*highest=*/false};
  loop.run.steps = job.options.epochs * order.StepsPerEpoch();
  loop.run.checkpoint_every = order.StepsPerEpoch();
  loop.validate_every = job.validation.empty() ? 0 : order.StepsPerEpoch();
  loop.patience = job.options.patience;
  loop.step = [&](TrainingRun* run) { return TrainStep(job, &order, run); };
  loop.validation = [&job] {
    return [&job, batches = ValidationBatches(job)] { return ValidationLoss(job, batches); };
  };
  loop.state = job.state;
  return RunSupervised(job, job.model, job.model->parameters(), loop, end);
}

}  // namespace flame
