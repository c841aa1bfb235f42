#include "trainer/sft.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "trainer/data_order.h"
#include "trainer/losses.h"
#include "trainer/micro_batch.h"
#include "trainer/training_run.h"

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;

int64_t StepsPerEpoch(const SftJob& job) {
  return (job.num_examples + job.options.batch - 1) / job.options.batch;
}

TrainingRunOptions RunOptionsOf(const SftJob& job) {
  TrainingRunOptions options;
  options.label = job.label;
  options.optimizer = job.options.optimizer;
  options.sharding = job.sharding;
  options.retention = {job.options.keep_last, job.options.keep_best, /*highest=*/false};
  options.settings = job.settings;
  options.steps = job.options.epochs * StepsPerEpoch(job);
  options.checkpoint_every = job.options.checkpoint_every;
  options.seed = job.seed;
  options.folder = job.folder;
  options.config_sha256 = job.config_sha256;
  options.learners = job.learners;
  return options;
}

// This rank's examples of a step; an epoch's last step may be short.
std::vector<Family> LocalFamilies(const SftJob& job, const TrainingRun& run, DataOrder* order) {
  const int64_t epoch = run.step() / StepsPerEpoch(job);
  const int64_t first =
      epoch * job.num_examples + run.step() % StepsPerEpoch(job) * job.options.batch;
  const int64_t end = std::min(first + job.options.batch, (epoch + 1) * job.num_examples);
  std::vector<Family> families;
  for (int64_t place = first + run.rank(); place < end; place += run.size()) {
    families.push_back(job.family(order->At(place)));
  }
  return families;
}

int64_t CountLossTokens(const std::vector<Family>& families) {
  int64_t count = 0;
  for (const Family& family : families) {
    for (const Branch& branch : family.branches) {
      count += static_cast<int64_t>(branch.tokens.size()) - branch.loss_from;
    }
  }
  return count;
}

struct StepResult {
  double loss = 0, tokens_trained = 0, tokens_packed = 0;
  TrainingRun::Update update;
};

// Adds a micro-batch's part of the gradient, and its part of loss and packed tokens to `local`.
void Backward(const SftJob& job, const MicroBatch& micro_batch, int64_t loss_tokens,
              uint64_t dropout_seed, StepResult* local) {
  const FamilyBatch batch = PackFamilies(micro_batch.families);
  const at::Tensor hidden =
      job.policy->Hidden(batch, {.dropout_seed = dropout_seed, .recompute = job.recompute});
  const at::Tensor loss = NegativeLogLikelihood(
      job.policy->LogProbs(hidden, batch.sources, batch.targets), loss_tokens);
  loss.backward();
  local->loss += loss.item<double>();
  local->tokens_packed += static_cast<double>(batch.tokens.numel());
}

StepResult TrainStep(const SftJob& job, TrainingRun* run, DataOrder* order) {
  const std::vector<Family> families = LocalFamilies(job, *run, order);
  const double local_tokens = static_cast<double>(CountLossTokens(families));
  const double loss_tokens = SumOverLearners(job.learners, {local_tokens})[0];
  if (loss_tokens == 0) {
    throw DataError(job.label, ": no example of step ", run->step() + 1,
                    " asks for a token; expected at least one");
  }
  run->BeginUpdate();
  StepResult local;
  std::vector<MicroBatch> passes = CutMicroBatches(families, job.options.token_budget);
  passes.resize(run->CountPasses(static_cast<int64_t>(passes.size())), IdlePass());
  for (size_t i = 0; i < passes.size(); ++i) {
    run->BeginPass();
    Backward(job, passes[i], static_cast<int64_t>(loss_tokens),
             run->DropoutSeed(static_cast<int64_t>(i)), &local);
    run->EndPass();
  }
  const std::vector<double> sums = SumOverLearners(job.learners, {local.loss, local.tokens_packed});
  return {sums[0], loss_tokens, sums[1], run->EndUpdate()};
}

nlohmann::json MetricsOf(int64_t step, const StepResult& result, double seconds) {
  return {{"step", step},
          {"loss", result.loss},
          {"grad_norm", result.update.grad_norm},
          {"learning_rate", result.update.learning_rate},
          {"tokens_trained", static_cast<int64_t>(result.tokens_trained)},
          {"tokens_packed", static_cast<int64_t>(result.tokens_packed)},
          {"seconds", seconds},
          {"tokens_per_second", seconds > 0 ? result.tokens_packed / seconds : 0}};
}

std::string LossNote(double loss) {
  char text[32];
  std::snprintf(text, sizeof(text), "loss %.4f", loss);
  return text;
}

// What rank 0 shows and writes.
class Reporter {
 public:
  Reporter(const SftJob& job, const TrainingRun& run) {
    if (run.rank() != 0) return;
    metrics_.emplace(job.folder, run.step());
    progress_.emplace(job.label, job.options.epochs * StepsPerEpoch(job), "step", run.step());
  }
  void Report(int64_t step, const StepResult& result, double seconds) {
    if (!metrics_) return;
    metrics_->Write(MetricsOf(step, result, seconds));
    progress_->Add(1, LossNote(result.loss));
  }

 private:
  std::optional<MetricsSink> metrics_;
  std::optional<Progress> progress_;
};

}  // namespace

SftReport RunSft(const SftJob& job) {
  if (job.num_examples <= 0) {
    throw DataError(job.label, ": there are no examples to train on; expected at least one");
  }
  TrainingRun run(job.policy, job.policy->SelectTrainable(job.trainable), RunOptionsOf(job));
  if (!run.done()) {
    DataOrder order(job.seed, job.num_examples);
    Reporter reporter(job, run);
    while (!run.done()) {
      const auto start = Clock::now();
      const StepResult result = TrainStep(job, &run, &order);
      const std::chrono::duration<double> seconds = Clock::now() - start;
      reporter.Report(run.step() + 1, result, seconds.count());
      run.EndStep(result.loss);
    }
  }
  run.Finish();
  return {run.step(), run.FirstMean(0.05), run.LastMean(0.05)};
}

}  // namespace flame
