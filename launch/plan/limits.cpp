#include "launch/plan/limits.h"

#include <cmath>
#include <map>

#include "base/error.h"

namespace flame {
namespace {

// Returns the key to change for a role that is too large.
std::string Advice(const Config& config, const StagePlan& plan, const RolePlan& role) {
  size_t largest = 0;
  for (size_t p = 0; p < kNumParts; ++p) {
    if (role.parts[p] > role.parts[largest]) largest = p;
  }
  const bool many = role.role == "learner" && role.ranks > 1;
  const bool split = SplitsParameters(config.cluster.sharding.policy);
  const bool narrow = config.model.dtype == "bfloat16";
  switch (static_cast<Part>(largest)) {
    case Part::kFrozen:
      if (many && !split) return "cluster.sharding=full";
      return narrow ? "model.quantize=nf4" : "model.dtype=bfloat16 with model.trainable=lora";
    case Part::kActivations:
    case Part::kHead:
      if (role.role == "rollout") return "grpo.group_size";
      return config.model.recompute ? StrCat(plan.stage, ".token_budget") : "model.recompute=true";
    case Part::kCache:
      return "grpo.max_tokens or grpo.group_size";
    default:
      if (many && !split) return "cluster.sharding=full";
      return plan.stage == "grpo"               ? "grpo.lora.rank"
             : config.model.trainable == "full" ? "model.trainable=lora"
                                                : "model.lora.rank";
  }
}

std::string Largest(const RolePlan& role) {
  size_t largest = 0;
  for (size_t p = 0; p < kNumParts; ++p) {
    if (role.parts[p] > role.parts[largest]) largest = p;
  }
  return StrCat(PartName(static_cast<Part>(largest)), " of ",
                static_cast<double>(role.parts[largest]) / 1e9, " GB");
}

}  // namespace

double ParseAmount(const std::string& name, const std::string& text) {
  size_t end = 0;
  double value = 0;
  try {
    value = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  static const std::map<std::string, double> units = {
      {"", 1},          {"B", 1},         {"kB", 1e3},           {"KB", 1e3},
      {"MB", 1e6},      {"GB", 1e9},      {"TB", 1e12},          {"KiB", 1 << 10},
      {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", std::exp2(40)}};
  const auto unit = units.find(text.substr(end));
  if (!(value > 0) || !std::isfinite(value) || unit == units.end()) {
    throw UsageError(name, " is '", text, "'; expected a number above 0, such as 80GB");
  }
  return value * unit->second;
}

std::string MemoryFaults(const Config& config, const std::vector<StagePlan>& plans, double memory) {
  std::string faults;
  for (const StagePlan& plan : plans) {
    for (const RolePlan& role : plan.roles) {
      if (memory == 0 || static_cast<double>(role.peak) <= memory) continue;
      faults += StrCat(faults.empty() ? "" : "\n", plan.stage, ": a ", role.role, " rank needs ",
                       static_cast<double>(role.peak) / 1e9, " GB, --gpu-memory is ", memory / 1e9,
                       " GB; the largest part is ", Largest(role), ": change ",
                       Advice(config, plan, role));
    }
  }
  return faults;
}

}  // namespace flame
