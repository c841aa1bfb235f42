#include "trainer/grpo.h"

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
#include "base/trace.h"
#include "trainer/data_order.h"
#include "trainer/grpo_batch.h"
#include "trainer/grpo_update.h"
#include "trainer/training_run.h"

namespace flame {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

TrainingRunOptions RunOptionsOf(const GrpoJob& job) {
  TrainingRunOptions options;
  options.label = "grpo";
  options.optimizer = job.options.optimizer;
  options.sharding = job.sharding;
  options.retention = {job.options.keep_last, job.options.keep_best, /*highest=*/true};
  options.settings = job.settings;
  options.steps = job.options.steps;
  options.updates_per_step = job.options.iterations;
  options.checkpoint_every = job.options.checkpoint_every;
  options.seed = job.seed;
  options.folder = job.folder;
  options.config_sha256 = job.config_sha256;
  options.learners = job.learners;
  options.on_device = job.on_device;
  return options;
}

void CheckJob(const GrpoJob& job) {
  if (job.num_tasks <= 0) {
    throw DataError("grpo: the task list is empty; expected at least one list task");
  }
  if (job.options.sampling.temperature <= 0) {
    throw UsageError("grpo.temperature is ", job.options.sampling.temperature,
                     "; expected a number above 0: greedy text has no log-probability to train on");
  }
  if (!job.policy->has_adapters()) {
    throw UsageError("grpo: the policy has no adapters; expected AddAdapters before training");
  }
}

// A function of (seed, step) alone, so every learner makes it for itself.
RolloutRequest RequestOf(const GrpoJob& job, int64_t step, DataOrder* order) {
  RolloutRequest request;
  request.step = step;
  request.policy_version = step;
  for (int64_t i = 0; i < job.options.tasks; ++i) {
    const int64_t place = step * job.options.tasks + i;
    request.task_ids.push_back(place);
    request.tasks.push_back(static_cast<int32_t>(order->At(place)));
  }
  return request;
}

// Has the request rolled out by learner 0; every learner gets the shards' paths.
std::vector<std::filesystem::path> Collect(const GrpoJob& job, const RolloutRequest& request,
                                           StepReport* report) {
  nlohmann::json paths = nlohmann::json::array();
  if (job.rollouts != nullptr) {
    for (const RolloutReply& reply : job.rollouts->Collect(request)) {
      paths.push_back(reply.shard.string());
      report->tokens_sampled += reply.tokens_sampled;
      // Workers run side by side.
      report->seconds_rollout = std::max(report->seconds_rollout, reply.seconds_rollout);
      report->seconds_reward = std::max(report->seconds_reward, reply.seconds_reward);
    }
  }
  const auto shared = nlohmann::json::parse(BroadcastText(job.learners, paths.dump()));
  const auto names = shared.get<std::vector<std::string>>();
  return {names.begin(), names.end()};
}

// Sums one pass over learners into the report; entropy and mismatch are those of the first pass,
// before any update.
void ReportPass(const GrpoJob& job, const PassSums& local, bool first, StepReport* report) {
  const std::vector<double> sums =
      SumOverLearners(job.learners, {local.loss, local.kl, local.clipped, local.entropy});
  const double mismatch = MaxOverLearners(job.learners, {local.mismatch_max})[0];
  const double tokens = static_cast<double>(report->tokens_trained);
  const double passes = static_cast<double>(job.options.iterations);
  report->loss += sums[0] / passes;
  report->kl += sums[1] / tokens / passes;
  report->clip_fraction += sums[2] / tokens / passes;
  if (!first) return;
  report->entropy = sums[3] / tokens;
  report->sample_mismatch_max = mismatch;
}

void Learn(const GrpoJob& job, const std::vector<std::filesystem::path>& shards,
           const RolloutRequest& request, TrainingRun* run, StepReport* report) {
  const auto start = Clock::now();
  GrpoBatch batch = ReadGrpoBatch(shards, request, job.credit);
  batch.totals.max_tokens = job.options.sampling.max_tokens;
  ReportRewards(batch, report);
  GrpoUpdate update(job, batch, run);
  for (int64_t pass = 0; pass < job.options.iterations; ++pass) {
    run->BeginUpdate();
    ReportPass(job, update.Backward(), pass == 0, report);
    const TrainingRun::Update taken = run->EndUpdate();
    report->grad_norm = taken.grad_norm;
    report->learning_rate = taken.learning_rate;
  }
  report->seconds_learn = SecondsSince(start);
}

// Every learner takes part in gathering the adapters and in the canary's forward.
void Sync(const GrpoJob& job, int64_t version, TrainingRun* run, StepReport* report) {
  const auto start = Clock::now();
  const TraceScope trace("sync");
  const PolicyVersion policy{version, run->parameters()->WholeTrainable(),
                             CanaryLogProbs(*job.policy), job.policy->dtype()};
  if (job.rollouts != nullptr) job.rollouts->Sync(policy);
  report->seconds_sync = SecondsSince(start);
}

StepReport TrainStep(const GrpoJob& job, DataOrder* order, TrainingRun* run) {
  const auto start = Clock::now();
  const RolloutRequest request = RequestOf(job, run->step(), order);
  StepReport report;
  report.step = request.step + 1;
  report.policy_version = request.policy_version;
  const std::vector<std::filesystem::path> shards = Collect(job, request, &report);
  Learn(job, shards, request, run, &report);
  Sync(job, request.step + 1, run, &report);
  report.seconds = SecondsSince(start);
  return report;
}

std::string RewardNote(const StepReport& report) {
  char text[64];
  std::snprintf(text, sizeof(text), "reward %+.4f, kl %.4f", report.reward_mean, report.kl);
  return text;
}

void TrainToTheEnd(const GrpoJob& job, TrainingRun* run) {
  std::optional<MetricsSink> metrics;
  std::optional<Progress> progress;
  if (run->rank() == 0) {
    metrics.emplace(job.folder, run->step());
    progress.emplace("grpo", job.options.steps, "step", run->step());
  }
  DataOrder order(job.seed, job.num_tasks);
  StepReport start;
  Sync(job, run->step(), run, &start);
  while (!run->done()) {
    const StepReport report = TrainStep(job, &order, run);
    if (metrics) {
      metrics->Write(ToJson(report));
      progress->Add(1, RewardNote(report));
    }
    run->EndStep(report.reward_mean);
  }
}

}  // namespace

GrpoReport RunGrpo(const GrpoJob& job) {
  CheckJob(job);
  TrainingRun run(job.policy, job.policy->SelectTrainable("adapters"), RunOptionsOf(job));
  run.Resume();
  if (!run.done()) TrainToTheEnd(job, &run);
  run.Finish();
  return {run.step(), run.FirstMean(0.2), run.LastMean(0.2)};
}

}  // namespace flame
