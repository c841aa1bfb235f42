// flame plan: what a training would need, before anyone queues for a node.
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launch/command/command.h"
#include "launch/plan/estimate.h"
#include "launch/plan/limits.h"
#include "model/shapes.h"

namespace flame {
namespace {

using nlohmann::ordered_json;

constexpr char kUsage[] =
    "flame plan --config configs/quickstart.yaml --gpus 4 --gpu-memory 80GB\n"
    "flame plan --gpus 8 --gpu-memory 80GB --flops 4e14 --bandwidth 50GB --stage grpo "
    "data.hospital=synth model.path=DIR\n\n"
    "Memory of every role, work and seconds of a step; exit status 2 where it does not fit.\n"
    "Of model.path config.json alone is read.\n\n"
    "  --gpus N          ranks, a GPU each\n"
    "  --gpu-memory S    memory of one: 80GB, 900MB, 40GiB\n"
    "  --flops F         FLOP/s that one reaches; measured on this machine's CPU where not given\n"
    "  --gpus-per-node G ranks of one machine, a group of cluster.sharding=hybrid; all where not "
    "given\n"
    "  --bandwidth B     bytes/s that one receives from others; measured likewise\n"
    "  --memory-bandwidth B  bytes/s that one reads of its memory; measured likewise where --flops "
    "is,\n                    else decoding is planned as arithmetic alone\n"
    "  --stage STAGE     classifier, list or grpo alone\n";

// A whole number of ranks.
int64_t CountOf(const std::map<std::string, std::string>& values, const std::string& name,
                int64_t otherwise) {
  const auto given = values.find(name);
  if (given == values.end()) return otherwise;
  const double count = ParseAmount(name, given->second);
  if (count != std::floor(count) || count > 1e6) {
    throw UsageError(name, " is ", count, "; expected a whole number of at most a million");
  }
  return static_cast<int64_t>(count);
}

template <class Body>
double SecondsOf(const Body& body) {
  body();
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double MeasuredFlops(at::ScalarType dtype) {
  constexpr int64_t kSize = 768;
  const at::Tensor a = at::ones({kSize, kSize}, dtype), b = at::ones({kSize, kSize}, dtype);
  return 2.0 * kSize * kSize * kSize / SecondsOf([&] { at::mm(a, b); });
}

double MeasuredBandwidth() {
  const at::Tensor from = at::ones({16 << 20}, at::kFloat);
  at::Tensor to = at::ones({16 << 20}, at::kFloat);
  return static_cast<double>(from.nbytes()) / SecondsOf([&] { to.copy_(from); });
}

ordered_json ToJson(const StagePlan& plan, double memory) {
  ordered_json roles = ordered_json::array();
  for (const RolePlan& role : plan.roles) {
    ordered_json parts;
    for (size_t p = 0; p < kNumParts; ++p) parts[PartName(static_cast<Part>(p))] = role.parts[p];
    roles.push_back({{"role", role.role},
                     {"ranks", role.ranks},
                     {"peak_bytes", role.peak},
                     {"fits", memory == 0 || static_cast<double>(role.peak) <= memory},
                     {"bytes", parts}});
  }
  const StageWork& work = plan.work;
  return {{"stage", plan.stage},
          {"basis", work.basis},
          {"roles", roles},
          {"shared_bytes", plan.shared_bytes},
          {"largest_micro_batch_tokens", work.largest.tokens},
          {"tokens", work.tokens},
          {"busiest_learner_tokens", work.busiest_tokens},
          {"asked_for_tokens", work.targets},
          {"query_key_pairs", work.pairs},
          {"passes", work.passes},
          {"prompt_tokens", work.prompt_tokens},
          {"sampled_tokens", work.sampled_tokens},
          {"weights",
           {{"frozen", plan.weights.frozen},
            {"trainable", plan.weights.trainable},
            {"head", plan.weights.head},
            {"attention", plan.weights.attention}}},
          {"model_flops", plan.model_flops},
          {"attention_flops", plan.attention_flops},
          {"recomputed_flops", plan.recomputed_flops},
          {"rollout_flops", plan.rollout_flops},
          {"collective_bytes", plan.collective_bytes},
          {"decode_bytes", plan.decode_bytes},
          {"seconds", plan.seconds_learn + plan.seconds_communicate + plan.seconds_rollout},
          {"seconds_learn", plan.seconds_learn},
          {"seconds_communicate", plan.seconds_communicate},
          {"seconds_rollout", plan.seconds_rollout}};
}

void Print(const StagePlan& plan, double memory) {
  std::printf("%s\n", plan.stage.c_str());
  for (const std::string& basis : plan.work.basis) std::printf("  %s\n", basis.c_str());
  for (const RolePlan& role : plan.roles) {
    const bool fits = memory == 0 || static_cast<double>(role.peak) <= memory;
    std::printf("  %s, %lld rank(s): peak %.3f GB%s\n", role.role.c_str(),
                static_cast<long long>(role.ranks), static_cast<double>(role.peak) / 1e9,
                memory == 0 ? ""
                : fits      ? ", fits"
                            : ", DOES NOT FIT");
    for (size_t p = 0; p < kNumParts; ++p) {
      if (role.parts[p] == 0) continue;
      std::printf("    %-22s %12.6f GB\n", PartName(static_cast<Part>(p)),
                  static_cast<double>(role.parts[p]) / 1e9);
    }
  }
  if (plan.shared_bytes > 0) {
    std::printf("  shared by the ranks of a host, beside these: %.6f GB of adapters\n",
                static_cast<double>(plan.shared_bytes) / 1e9);
  }
  std::printf("  a step: %.0f tokens packed, %.0f asked for, largest micro-batch %lld\n",
              plan.work.tokens, plan.work.targets,
              static_cast<long long>(plan.work.largest.tokens));
  std::printf("  FLOPs: model %.3g, attention %.3g, recomputed %.3g, rollout %.3g\n",
              plan.model_flops, plan.attention_flops, plan.recomputed_flops, plan.rollout_flops);
  std::printf("  collectives: %.3g bytes received by a learner\n", plan.collective_bytes);
  if (plan.decode_bytes > 0) {
    std::printf("  decoding: %.3g bytes of weights read by a rollout rank\n", plan.decode_bytes);
  }
  std::printf("  seconds: %.3g = learn %.3g + communicate %.3g + rollout %.3g\n",
              plan.seconds_learn + plan.seconds_communicate + plan.seconds_rollout,
              plan.seconds_learn, plan.seconds_communicate, plan.seconds_rollout);
}

std::vector<std::string> StagesOf(const std::map<std::string, std::string>& values) {
  const std::vector<std::string> all = {"classifier", "list", "grpo"};
  const auto given = values.find("--stage");
  if (given == values.end()) return all;
  for (const std::string& stage : all) {
    if (stage == given->second) return {stage};
  }
  throw UsageError("--stage is '", given->second, "'; expected classifier, list or grpo");
}

}  // namespace

int RunPlan(const Arguments& arguments) {
  const OwnOptions split =
      SeparateOptions(arguments, "plan",
                      {"--gpus", "--gpus-per-node", "--gpu-memory", "--memory-bandwidth", "--flops",
                       "--bandwidth", "--stage"});
  const ConfigArguments parsed = ParseConfigArguments(split.rest, kUsage);
  if (parsed.help) return 0;
  const auto number = [&](const std::string& name) {
    const auto found = split.values.find(name);
    return found == split.values.end() ? 0.0 : ParseAmount(name, found->second);
  };
  Machines machines;
  machines.ranks = CountOf(split.values, "--gpus", 1);
  machines.ranks_a_node = CountOf(split.values, "--gpus-per-node", machines.ranks);
  const std::vector<std::string> stages = StagesOf(split.values);
  const double memory = number("--gpu-memory");
  Speed speed{number("--flops"), number("--bandwidth"), number("--memory-bandwidth")};
  const bool flops_given = speed.flops > 0, bandwidth_given = speed.bandwidth > 0;
  if (!flops_given) speed.flops = MeasuredFlops(DtypeOf(parsed.config.model.dtype));
  const double copied = flops_given && bandwidth_given ? 0 : MeasuredBandwidth();
  if (!bandwidth_given) speed.bandwidth = copied;
  // Each byte copied is read and written.
  if (!flops_given && speed.memory == 0) speed.memory = 2 * copied;
  std::vector<StagePlan> plans;
  for (const std::string& stage : stages) {
    plans.push_back(PlanStage(parsed.config, stage, machines, speed));
  }
  const char* given = "given";
  const char* measured = "measured on this machine's CPU";
  if (parsed.json) {
    ordered_json list = ordered_json::array();
    for (const StagePlan& plan : plans) list.push_back(ToJson(plan, memory));
    std::cout << ordered_json{{"flops", speed.flops},
                              {"flops_from", flops_given ? given : measured},
                              {"bandwidth", speed.bandwidth},
                              {"bandwidth_from", bandwidth_given ? given : measured},
                              {"memory_bandwidth", speed.memory},
                              {"stages", list}}
              << "\n";
  } else {
    std::printf("%.3g FLOP/s a rank, %s; %.3g bytes/s, %s\n", speed.flops,
                flops_given ? given : measured, speed.bandwidth,
                bandwidth_given ? given : measured);
    for (const StagePlan& plan : plans) Print(plan, memory);
    std::printf("Beside these: the process itself, and on a GPU its context and libraries.\n");
    std::fflush(stdout);
  }
  const std::string faults = MemoryFaults(parsed.config, plans, memory);
  if (!faults.empty()) throw UsageError(faults);
  return 0;
}

}  // namespace flame
