#include "launch/run/grpo_roles.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"
#include "comm/roles.h"
#include "launch/config/run_paths.h"
#include "launch/run/device.h"
#include "launch/run/run_materials.h"
#include "reward/service.h"
#include "rollout/colocated_client.h"
#include "rollout/worker.h"
#include "trainer/grpo/grpo.h"

namespace flame {
namespace {

std::filesystem::path ShardsOf(const Config& config) {
  return RunPaths(config.run.dir).stage("grpo") / "rollouts";
}

RolloutContext MakeContext(const Config& config, const Materials& materials,
                           const std::vector<ListTask>& tasks, Policy* policy,
                           const std::string& inputs_sha256, bool carried, int rank) {
  RolloutContext context;
  context.policy = policy;
  context.prompts = materials.prompts.get();
  context.tasks = &tasks;
  context.sampling = config.grpo.sampling;
  context.seed = config.run.seed;
  if (!carried) context.folder = ShardsOf(config);
  context.rank = rank;
  context.config_sha256 = inputs_sha256;
  return context;
}

int64_t PromptTokens(const PromptBuilder& prompts, const ListTask& task) {
  return static_cast<int64_t>(prompts.ListTrunk(task.visit).size() +
                              prompts.ListQuestion(task.input, task.edit).size());
}

// Logs the idle time of each role and the split of ranks that would match the work done; for
// colocated ranks, the time they waited for each other's rollouts. Collective.
void ReportIdle(const RankMesh& mesh, double idle, std::chrono::steady_clock::time_point start,
                Communicator* world) {
  const std::chrono::duration<double> total = std::chrono::steady_clock::now() - start;
  at::Tensor all = at::zeros({world->size(), 2}, at::kDouble);
  at::Tensor own = at::empty({1, 2}, at::kDouble);
  own[0][0] = idle, own[0][1] = total.count();
  world->AllGather(all, own)->Wait();
  if (world->rank() != 0) return;
  const auto times = all.accessor<double, 2>();
  if (mesh.rollout_ranks.empty()) {
    const at::Tensor sums = all.sum(0);
    LogInfo("idle: ranks ", std::round(100 * sums[0].item<double>() / sums[1].item<double>()),
            " % of their time, waiting for other ranks' rollouts");
    return;
  }
  const std::vector<const std::vector<int>*> roles = {&mesh.learner_ranks, &mesh.rollout_ranks,
                                                      &mesh.reward_ranks};
  std::vector<double> busy, share;
  for (const auto* ranks : roles) {
    double idle_sum = 0, sum = 0;
    for (const int rank : *ranks) idle_sum += times[rank][0], sum += times[rank][1];
    busy.push_back(sum - idle_sum);
    share.push_back(std::round(100 * idle_sum / sum));
  }
  const std::vector<int> split = SuggestSplit(busy, world->size());
  LogInfo("idle: learners ", share[0], " %, rollout ranks ", share[1], " %, reward ranks ",
          share[2], " % of their time; the work done suggests, for ", world->size(),
          " ranks, cluster.learners=", split[0], " cluster.rollouts=", split[1],
          " cluster.rewards=", split[2]);
}

void Report(const GrpoReport& report) {
  LogInfo("grpo: mean reward ", report.first_reward, " (first fifth) -> ", report.last_reward,
          " (last fifth) in ", report.steps, " steps");
  const auto& [earlier, wait, learn, sync] = report.earlier;
  const double all = earlier + report.seconds;
  const double known =
      wait + report.seconds_wait + learn + report.seconds_learn + sync + report.seconds_sync;
  const auto share = [&](double seconds) { return std::round(100 * seconds / all); };
  LogInfo("grpo: ", HumanDuration(all), ", waiting for rollouts and rewards ",
          share(wait + report.seconds_wait), " %, learning ", share(learn + report.seconds_learn),
          " %, sync ", share(sync + report.seconds_sync), " %, other ", share(all - known), " %");
}

Communicator::Milliseconds Timeouts(const Config& config, double count) {
  return Communicator::Milliseconds(static_cast<int64_t>(config.cluster.timeout * 1000 * count));
}

bool Colocated(const ClusterOptions& cluster) { return cluster.placement == "colocated"; }

RankMesh MeshOf(const ClusterOptions& cluster, int size, int rank) {
  if (Colocated(cluster)) {
    RankMesh mesh;
    for (int r = 0; r < size; ++r) mesh.learner_ranks.push_back(r);
    return mesh;
  }
  RankMesh mesh =
      AssignRoles(size, rank, static_cast<int>(cluster.learners),
                  static_cast<int>(cluster.rollouts), static_cast<int>(cluster.rewards));
  if (mesh.rollout_ranks.empty() || mesh.reward_ranks.empty()) {
    throw UsageError("cluster.rollouts is ", cluster.rollouts, " and cluster.rewards is ",
                     cluster.rewards, " on ", size,
                     " ranks; expected at least one rank of each role");
  }
  return mesh;
}

// Trains; returns the seconds spent waiting for rollouts.
double Train(const Config& config, GrpoJob job, Communicator* learners) {
  job.learners = learners != nullptr && learners->size() > 1 ? learners : nullptr;
  const auto on_device =
      LearnersOnDevice(config.model.device, config.cluster.timeout, job.learners);
  job.on_device = on_device.get();
  const GrpoReport report = RunGrpo(job);
  if (learners == nullptr || learners->rank() == 0) Report(report);
  return report.seconds_wait;
}

double Learn(const Config& config, const RankMesh& mesh, GrpoJob job, const ShardFolder& shards,
             std::function<int64_t(int32_t)> length, Communicator* learners, Communicator* world) {
  std::unique_ptr<RolloutClient> rollouts;
  if (learners->rank() == 0) {
    // Shorter than the time that the other learners wait for this one, so that the error names the
    // rank at fault and not this one.
    rollouts = MakeRemoteRolloutClient(
        world, {mesh.rollout_ranks, std::move(length),
                /*overlap=*/config.grpo.staleness > 0, Timeouts(config, 0.9),
                job.carry_shards ? &shards : nullptr, job.options.staleness + 1});
  }
  job.rollouts = rollouts.get();
  const double waited = Train(config, job, learners);
  if (learners->rank() != 0) return waited;
  rollouts.reset();
  StopServingRollouts(world, mesh.rollout_ranks);
  StopServingRewards(world, mesh.reward_ranks);
  return waited;
}

}  // namespace

void CheckRoles(const Config& config, Communicator* world) {
  if (world != nullptr && world->size() > 1) {
    MeshOf(config.cluster, world->size(), world->rank());
    return;
  }
  const ClusterOptions& cluster = config.cluster;
  const int64_t ranks = cluster.learners + cluster.rollouts + cluster.rewards;
  if (ranks <= 1) return;
  throw UsageError("cluster.learners, rollouts and rewards ask for ", ranks,
                   " ranks, and this is one process: start `flame grpo` with mpirun -np ", ranks,
                   ", or leave them at 0");
}

bool OnlyScores(const ClusterOptions& cluster, const Communicator* world) {
  return world != nullptr && world->size() > 1 &&
         MeshOf(cluster, world->size(), world->rank()).role == Role::kReward;
}

GrpoJob MakeGrpoJob(const Config& config, const std::vector<ListTask>& tasks, Policy* policy,
                    const std::string& inputs_sha256, const std::string& settings) {
  GrpoJob job;
  job.policy = policy;
  job.num_tasks = static_cast<int64_t>(tasks.size());
  job.options = config.grpo;
  job.credit = config.credit;
  job.reward = config.reward;
  job.recompute = config.model.recompute;
  job.seed = config.run.seed;
  job.folder = RunPaths(config.run.dir).stage("grpo");
  job.sharding = config.cluster.sharding;
  job.config_sha256 = inputs_sha256;
  job.settings = settings;
  return job;
}

void RunGrpoRoles(const Config& config, const Materials& materials,
                  const std::vector<ListTask>& tasks, const std::function<Policy()>& load,
                  std::function<void(const Policy&)> end, const std::string& inputs_sha256,
                  const std::string& settings, Communicator* world) {
  const auto start = std::chrono::steady_clock::now();
  const bool alone = world == nullptr || world->size() == 1;
  const int rank = alone ? 0 : world->rank();
  const RankMesh mesh = alone ? RankMesh{} : MeshOf(config.cluster, world->size(), rank);
  const auto own = alone ? nullptr : world->Split(static_cast<int>(mesh.role));
  // A Scorer starts the external program, so only ranks that score make one.
  const Corpus truths = TruthsOfRun(config, materials.corpus);
  std::optional<Scorer> scorer;
  if (mesh.role == Role::kReward || mesh.role == Role::kAll) {
    scorer.emplace(truths, materials.tokenizer, materials.prompts->end_id(), config.reward);
  }
  if (mesh.role == Role::kReward) {
    ReportIdle(mesh, ServeRewards(world, *scorer, Timeouts(config, 2)), start, world);
    return;
  }
  Policy policy = load();
  // Only learners split the policy.
  if (mesh.role != Role::kLearner) policy.ReadStored();
  const std::optional<LineTrie> lines = AllowedLines(config.grpo.sampling, materials);
  GrpoJob job = MakeGrpoJob(config, tasks, &policy, inputs_sha256, settings);
  job.end = std::move(end);
  job.lines = lines ? &*lines : nullptr;
  job.carry_shards = !alone && config.cluster.carrier == "mpi";
  RolloutContext context =
      MakeContext(config, materials, tasks, &policy, inputs_sha256, job.carry_shards, rank);
  context.lines = job.lines;
  const auto length = [&](int32_t task) { return PromptTokens(*materials.prompts, tasks[task]); };
  const int64_t versions = config.grpo.staleness + 1;
  const ShardFolder shards{ShardsOf(config), static_cast<uint64_t>(config.run.seed), inputs_sha256};
  if (mesh.role == Role::kRollout) {
    // The learner waits 0.9 timeouts for a rollout rank: it can ask two reward ranks in turn.
    const auto rewards =
        MakeRemoteRewardClient(world, mesh.reward_ranks, Timeouts(config, 1.0 / 3));
    RolloutWorker worker(context, rewards.get(), versions);
    ReportIdle(mesh, ServeRollouts(world, &worker, Timeouts(config, 2)), start, world);
  } else if (mesh.role == Role::kLearner) {
    ReportIdle(mesh, Learn(config, mesh, job, shards, length, own.get(), world), start, world);
  } else {
    const auto rewards = MakeLocalRewardClient(*scorer);
    RolloutWorker worker(context, rewards.get(), versions);
    double idle = 0;
    const auto rollouts =
        alone ? MakeLocalRolloutClient(&worker)
              : MakeColocatedRolloutClient(&worker, own.get(), length,
                                           job.carry_shards ? &shards : nullptr, &idle);
    job.rollouts = rollouts.get();
    Train(config, job, own.get());
    if (!alone) ReportIdle(mesh, idle, start, world);
  }
}

}  // namespace flame
