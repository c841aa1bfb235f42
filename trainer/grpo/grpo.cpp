#include "trainer/grpo/grpo.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/files/atomic_file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/progress.h"
#include "base/trace.h"
#include "rollout/adapter_transfer.h"
#include "trainer/data_order.h"
#include "trainer/grpo/grpo_batch.h"
#include "trainer/grpo/grpo_update.h"
#include "trainer/grpo/recent_versions.h"
#include "trainer/grpo/shard_retention.h"
#include "trainer/training_run.h"

namespace flame {
namespace {

// Steps between warnings about the rewards.
constexpr int64_t kWarnEvery = 20;

TrainingRunOptions RunOptionsOf(const GrpoJob& job) {
  TrainingRunOptions options;
  options.label = "grpo";
  options.optimizer = job.options.optimizer;
  options.retention = {job.options.keep_last, job.options.keep_best, /*highest=*/true};
  options.steps = job.options.steps;
  options.updates_per_step = job.options.iterations;
  options.checkpoint_every = job.options.checkpoint_every;
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

// Returns the request of a step. It depends on the seed and the step only, so every learner builds
// it by itself.
RolloutRequest RequestOf(const GrpoJob& job, int64_t step, DataOrder* order) {
  RolloutRequest request;
  request.step = step;
  request.policy_version = std::max<int64_t>(0, step - job.options.staleness);
  for (int64_t i = 0; i < job.options.tasks; ++i) {
    const int64_t place = step * job.options.tasks + i;
    request.task_ids.push_back(place);
    request.tasks.push_back(static_cast<int32_t>(order->At(place)));
  }
  return request;
}

void Report(const std::vector<RolloutReply>& replies, StepReport* report) {
  std::map<int, double> rollout, reward, idle;  // by rank; ranks work at the same time
  for (const RolloutReply& reply : replies) {
    report->tokens_sampled += reply.tokens_sampled;
    report->parts_retried += reply.retries;
    report->reward_retries += reply.reward_retries;
    report->parts_reused += reply.reused ? 1 : 0;
    rollout[reply.rank] += reply.seconds_rollout;
    reward[reply.rank] += reply.seconds_reward;
    idle[reply.rank] += reply.seconds_idle;
    for (const auto& [text, count] : reply.unmatched) report->unmatched[text] += count;
  }
  report->parts = static_cast<int64_t>(replies.size());
  for (const auto& [rank, seconds] : rollout) {
    report->seconds_rollout = std::max(report->seconds_rollout, seconds);
    report->seconds_reward = std::max(report->seconds_reward, reward[rank]);
    report->seconds_rollout_idle += idle[rank] / static_cast<double>(rollout.size());
  }
}

// Waits until the rollouts are ready. Learners exchange a message every round: if they waited for
// learner 0 in one go, their deadlines could pass first and the error would name learner 0. Only
// the client of learner 0 knows which rank is at fault if rollouts do not come.
void AwaitRollouts(const GrpoJob& job, const RolloutRequest& request) {
  double waiting = 1;
  while (waiting != 0) {
    const bool here = job.rollouts == nullptr || job.rollouts->Ready(request);
    waiting = MaxOverRanks(job.learners, {here ? 0.0 : 1.0})[0];
  }
}

// Has the request rolled out and returns its shards on every learner.
std::vector<ShardSource> Collect(const GrpoJob& job, const RolloutRequest& request,
                                 StepReport* report) {
  const auto start = Clock::now();
  AwaitRollouts(job, request);
  nlohmann::json paths = nlohmann::json::array();
  if (job.rollouts != nullptr) {
    const std::vector<RolloutReply> replies = job.rollouts->Collect(request);
    Report(replies, report);
    for (const RolloutReply& reply : replies) paths.push_back(reply.shard.string());
    if (job.learners == nullptr || job.learners->rank() == 0) {
      RemoveOtherParts(job.folder / "rollouts", request.step, replies);
      RemoveOldShards(job.folder / "rollouts", request.step, job.options.keep_shards);
    }
  }
  const auto shared = nlohmann::json::parse(BroadcastText(job.learners, paths.dump()));
  std::vector<ShardSource> shards;
  for (const std::string path : shared) {
    shards.push_back({path, ""});
    if (!job.carry_shards || job.learners == nullptr) continue;
    const bool here = job.learners->rank() == 0;
    shards.back().bytes = BroadcastText(job.learners, here ? ReadWholeFile(path) : "");
  }
  report->seconds_wait += SecondsSince(start);
  return shards;
}

// Sums one pass over learners into the report. Entropy and mismatch are taken from the first pass,
// before any update.
void ReportPass(const GrpoJob& job, const PassSums& local, bool first, StepReport* report) {
  const std::vector<double> sums = SumOverRanks(
      job.learners,
      {local.loss, local.kl, local.clipped, local.entropy, local.importance, local.truncated});
  const double mismatch = MaxOverRanks(job.learners, {local.mismatch_max})[0];
  const double tokens = static_cast<double>(report->tokens_trained);
  const double passes = static_cast<double>(job.options.iterations);
  report->loss += sums[0] / passes;
  report->kl += sums[1] / tokens / passes;
  report->clip_fraction += sums[2] / tokens / passes;
  if (!first) return;
  report->entropy = sums[3] / tokens;
  if (report->policy_version + 1 < report->step) {
    report->importance_mean = sums[4] / tokens;
    report->importance_truncated = sums[5] / tokens;
  }
  report->sample_mismatch_max = mismatch;
}

void Learn(const GrpoJob& job, const std::vector<ShardSource>& shards,
           const RolloutRequest& request, TrainingRun* run, StepReport* report) {
  const auto start = Clock::now();
  GrpoBatch batch = ReadGrpoBatch(shards, request, job.credit);
  batch.totals.max_tokens = job.options.sampling.max_tokens;
  ReportRewards(batch, report);
  report->rewards = ReportOf(batch.groups, job.reward);
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

// Hands the adapters to the rollout ranks as `version`. Every learner takes part in gathering the
// adapters and in the canary's forward.
void Sync(const GrpoJob& job, int64_t version, TrainingRun* run, SyncBuffers* buffers,
          StepReport* report) {
  const auto start = Clock::now();
  const TraceScope trace("sync");
  if (job.rollouts == nullptr) {
    run->parameters()->CopyTrainable({});
    CanaryLogProbs(*job.policy);
  } else {
    const NamedTensors own = AdaptersOf(*job.policy);
    PackedAdapters packed = PlacesFor(own, buffers->Next(PackedSize(EntriesOf(own))));
    run->parameters()->CopyTrainable(TensorsOf(packed));
    Seal(version, &packed);
    report->sync_bytes += static_cast<int64_t>(packed.bytes.nbytes());
    job.rollouts->Sync(
        {version, std::move(packed), CanaryLogProbs(*job.policy), job.policy->dtype()});
  }
  report->seconds_sync = SecondsSince(start);
}

// Begins each step of a run as soon as the version that it samples under has been handed out.
class Schedule {
 public:
  Schedule(const GrpoJob& job, TrainingRun* run)
      : job_(job), run_(run), order_(job.seed, job.num_tasks), next_(run->step()) {}

  RolloutRequest Request(int64_t step) { return RequestOf(job_, step, &order_); }

  // Hands out the versions that a run needs when it starts or resumes.
  void Start(RecentVersions* recent) {
    StepReport unreported;
    for (int64_t age = std::min(job_.options.staleness, run_->step()); age > 0; --age) {
      recent->Swap(age);
      HandOut(run_->step() - age, &unreported);
      Begin(run_->step() - age);
      recent->Swap(age);
    }
    HandOut(run_->step(), &unreported);
  }

  void HandOut(int64_t version, StepReport* report) {
    Sync(job_, version, run_, &buffers_, report);
  }

  // Begins all steps that can be sampled once `version` has been handed out.
  void Begin(int64_t version) {
    for (; next_ < job_.options.steps; ++next_) {
      const RolloutRequest request = Request(next_);
      if (request.policy_version > version) return;
      if (job_.rollouts != nullptr) job_.rollouts->Begin(request);
    }
  }

 private:
  const GrpoJob& job_;
  TrainingRun* run_;
  DataOrder order_;
  SyncBuffers buffers_;
  int64_t next_;  // the first step that is not begun
};

StepReport TrainStep(const GrpoJob& job, Schedule* schedule, TrainingRun* run,
                     RecentVersions* recent) {
  const auto start = Clock::now();
  StepReport report;
  schedule->Begin(run->step());
  report.seconds_wait = SecondsSince(start);  // in one process, rollouts are made as they begin
  const RolloutRequest request = schedule->Request(run->step());
  report.step = request.step + 1;
  report.policy_version = request.policy_version;
  const std::vector<ShardSource> shards = Collect(job, request, &report);
  recent->Push();
  Learn(job, shards, request, run, &report);
  schedule->HandOut(request.step + 1, &report);
  report.seconds = SecondsSince(start);
  return report;
}

std::string RewardNote(const StepReport& report) {
  char text[64];
  std::snprintf(text, sizeof(text), "reward %+.4f, kl %.4f", report.reward_mean, report.kl);
  return text;
}

void TrainToTheEnd(const GrpoJob& job, TrainingRun* run, RecentVersions* recent,
                   GrpoReport* total) {
  std::optional<MetricsSink> metrics;
  std::optional<Progress> progress;
  if (run->rank() == 0) {
    metrics.emplace(job.folder, run->step());
    const auto sums =
        SumsOfMetrics(job.folder, {"seconds", "seconds_wait", "seconds_learn", "seconds_sync"});
    std::copy(sums.begin(), sums.end(), total->earlier.begin());
    progress.emplace("grpo", job.options.steps, "step", run->step());
  }
  Schedule schedule(job, run);
  schedule.Start(recent);
  while (!run->done()) {
    const StepReport report = TrainStep(job, &schedule, run, recent);
    if (metrics) {
      const std::string warning = WarningOf(report.rewards, job.options.tasks);
      if (!warning.empty() && (report.step == 1 || report.step % kWarnEvery == 0)) {
        LogWarning("grpo: step ", report.step, ": ", warning);
      }
      metrics->Write(ToJson(report));
      progress->Step(RewardNote(report));
    }
    total->seconds_wait += report.seconds_wait;
    total->seconds_learn += report.seconds_learn;
    total->seconds_sync += report.seconds_sync;
    run->EndStep(report.reward_mean);
  }
}

}  // namespace

GrpoReport RunGrpo(const GrpoJob& job) {
  const auto start = Clock::now();
  CheckJob(job);
  TrainingRun run(job, job.policy, job.policy->SelectTrainable("adapters"), RunOptionsOf(job));
  RecentVersions recent(job.options.staleness, &run);
  run.Resume();
  GrpoReport report;
  if (!run.done()) TrainToTheEnd(job, &run, &recent, &report);
  run.Finish();
  if (job.end) job.end(*job.policy);
  report.steps = run.step();
  report.first_reward = run.FirstMean(0.2);
  report.last_reward = run.LastMean(0.2);
  report.seconds = SecondsSince(start);
  return report;
}

}  // namespace flame
