// flame plan: what a training would need, before anyone queues for a node.
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "launch/cli/config_arguments.h"
#include "launch/command/command.h"
#include "launch/plan/estimate.h"
#include "launch/plan/limits.h"
#include "model/shapes.h"

namespace flame {
namespace {

using nlohmann::ordered_json;

constexpr int64_t kMostRanks = 1000000;

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
          {"most_slots", plan.most_slots},
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

// The amount that an option gives; 0 where it is not given.
double AmountOf(const ParsedOptions& options, const std::string& name) {
  return options.Has(name) ? ParseAmount("--" + name, options.Text(name)) : 0.0;
}

// Speeds that are given, and measured ones in place of those that are not.
struct Speeds {
  Speed speed;
  bool flops_given = false, bandwidth_given = false;
};

Speeds SpeedsOf(const ParsedOptions& options, const std::string& dtype) {
  Speeds speeds{{AmountOf(options, "flops"), AmountOf(options, "bandwidth"),
                 AmountOf(options, "memory-bandwidth")}};
  Speed& speed = speeds.speed;
  speeds.flops_given = speed.flops > 0, speeds.bandwidth_given = speed.bandwidth > 0;
  if (!speeds.flops_given) speed.flops = MeasuredFlops(DtypeOf(dtype));
  const bool all_given = speeds.flops_given && speeds.bandwidth_given;
  const double copied = all_given ? 0 : MeasuredBandwidth();
  if (!speeds.bandwidth_given) speed.bandwidth = copied;
  // Each byte copied is read and written.
  if (!speeds.flops_given && speed.memory == 0) speed.memory = 2 * copied;
  return speeds;
}

void PrintPlans(const Speeds& speeds, const std::vector<StagePlan>& plans, double memory,
                bool as_json) {
  const auto source = [](bool given) { return given ? "given" : "measured on this machine's CPU"; };
  const Speed& speed = speeds.speed;
  if (as_json) {
    ordered_json list = ordered_json::array();
    for (const StagePlan& plan : plans) list.push_back(ToJson(plan, memory));
    std::cout << ordered_json{{"flops", speed.flops},
                              {"flops_from", source(speeds.flops_given)},
                              {"bandwidth", speed.bandwidth},
                              {"bandwidth_from", source(speeds.bandwidth_given)},
                              {"memory_bandwidth", speed.memory},
                              {"stages", list}}
              << "\n";
    return;
  }
  std::printf("%.3g FLOP/s a rank, %s; %.3g bytes/s, %s\n", speed.flops, source(speeds.flops_given),
              speed.bandwidth, source(speeds.bandwidth_given));
  for (const StagePlan& plan : plans) Print(plan, memory);
  std::printf("Beside these: the process itself, and on a GPU its context and libraries.\n");
  std::fflush(stdout);
}

}  // namespace

int RunPlan(const ParsedOptions& options) {
  const Config config = ConfigOf(options);
  Machines machines;
  machines.ranks = options.Count("gpus", 1, 1, kMostRanks);
  machines.ranks_a_node = options.Count("gpus-per-node", machines.ranks, 1, kMostRanks);
  const double memory = AmountOf(options, "gpu-memory");
  const Speeds speeds = SpeedsOf(options, config.model.dtype);
  std::vector<std::string> stages = {"classifier", "list", "grpo"};
  if (options.Has("stage")) stages = {options.Text("stage")};
  std::vector<StagePlan> plans;
  for (const std::string& stage : stages) {
    plans.push_back(PlanStage(config, stage, machines, speeds.speed));
  }
  PrintPlans(speeds, plans, memory, options.Has("json"));
  const std::string faults = MemoryFaults(config, plans, memory);
  if (!faults.empty()) throw UsageError(faults);
  return 0;
}

}  // namespace flame
