#include "launch/grpo_roles.h"

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "comm/roles.h"
#include "launch/device.h"
#include "launch/run_paths.h"
#include "reward/service.h"
#include "rollout/worker.h"
#include "trainer/grpo.h"

namespace flame {
namespace {

RolloutContext MakeContext(const Config& config, const Materials& materials,
                           const std::vector<ListTask>& tasks, Policy* policy,
                           const std::string& inputs_sha256, int rank) {
  RolloutContext context;
  context.policy = policy;
  context.prompts = materials.prompts.get();
  context.tasks = &tasks;
  context.sampling = config.grpo.sampling;
  context.seed = config.run.seed;
  context.folder = RunPaths(config.run.dir).stage("grpo") / "rollouts";
  context.rank = rank;
  context.config_sha256 = inputs_sha256;
  return context;
}

GrpoJob MakeJob(const Config& config, const std::vector<ListTask>& tasks, Policy* policy,
                const std::string& inputs_sha256) {
  GrpoJob job;
  job.policy = policy;
  job.num_tasks = static_cast<int64_t>(tasks.size());
  job.options = config.grpo;
  job.credit = config.credit;
  job.recompute = config.model.recompute;
  job.seed = config.run.seed;
  job.folder = RunPaths(config.run.dir).stage("grpo");
  job.sharding = config.cluster.sharding;
  job.config_sha256 = inputs_sha256;
  return job;
}

void Report(const GrpoReport& report) {
  LogInfo("grpo: mean reward ", report.first_reward, " (first fifth) -> ", report.last_reward,
          " (last fifth) in ", report.steps, " steps");
}

Communicator::Milliseconds Timeouts(const Config& config, double count) {
  return Communicator::Milliseconds(static_cast<int64_t>(config.cluster.timeout * 1000 * count));
}

RankMesh MeshOf(const ClusterOptions& cluster, int size, int rank) {
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

void Learn(const Config& config, const RankMesh& mesh, GrpoJob job, Communicator* learners,
           Communicator* world) {
  std::unique_ptr<RolloutClient> rollouts;
  const bool coordinator = learners->rank() == 0;
  if (coordinator) rollouts = MakeRemoteRolloutClient(world, mesh.rollout_ranks);
  job.rollouts = rollouts.get();
  job.learners = learners->size() > 1 ? learners : nullptr;
  const auto on_device =
      LearnersOnDevice(config.model.device, config.cluster.timeout, job.learners);
  job.on_device = on_device.get();
  const GrpoReport report = RunGrpo(job);
  if (!coordinator) return;
  StopServingRollouts(world, mesh.rollout_ranks);
  StopServingRewards(world, mesh.reward_ranks);
  Report(report);
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

std::optional<Policy> RunGrpoRoles(const Config& config, const Materials& materials,
                                   const std::vector<ListTask>& tasks,
                                   const std::function<Policy()>& load,
                                   const std::string& inputs_sha256, const std::string& settings,
                                   Communicator* world) {
  const bool alone = world == nullptr || world->size() == 1;
  const int rank = alone ? 0 : world->rank();
  const RankMesh mesh = alone ? RankMesh{} : MeshOf(config.cluster, world->size(), rank);
  const auto own = alone ? nullptr : world->Split(static_cast<int>(mesh.role));
  const Scorer scorer(materials.corpus, materials.tokenizer, materials.prompts->end_id(),
                      config.reward);
  if (!alone && mesh.role == Role::kReward) {
    ServeRewards(world, scorer, Timeouts(config, 2));
    return std::nullopt;
  }
  std::optional<Policy> policy = load();
  std::optional<LineTrie> lines;
  if (config.grpo.sampling.constrain == "drugs") {
    lines.emplace(DrugLines(*materials.prompts, materials.corpus.drugs.size()));
  }
  GrpoJob job = MakeJob(config, tasks, &*policy, inputs_sha256);
  job.settings = settings;
  job.lines = lines ? &*lines : nullptr;
  RolloutContext context = MakeContext(config, materials, tasks, &*policy, inputs_sha256, rank);
  context.lines = job.lines;
  if (alone) {
    const auto rewards = MakeLocalRewardClient(scorer);
    RolloutWorker worker(context, rewards.get());
    const auto rollouts = MakeLocalRolloutClient(&worker);
    job.rollouts = rollouts.get();
    Report(RunGrpo(job));
  } else if (mesh.role == Role::kRollout) {
    // Two answers in turn fit into what the learner allows a rollout rank.
    const auto rewards =
        MakeRemoteRewardClient(world, mesh.reward_ranks, Timeouts(config, 1.0 / 3));
    RolloutWorker worker(context, rewards.get());
    ServeRollouts(world, &worker, Timeouts(config, 2));
  } else {
    Learn(config, mesh, job, own.get(), world);
  }
  return policy;
}

}  // namespace flame
