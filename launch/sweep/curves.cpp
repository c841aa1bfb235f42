#include "launch/sweep/curves.h"

#include <map>
#include <sstream>

#include "base/error.h"
#include "base/files/atomic_file.h"
#include "launch/config/run_paths.h"

namespace flame {
namespace {

using nlohmann::json;

struct Sums {
  double mean = 0, variance = 0, count = 0;
};

std::vector<StepReward> ReadMetrics(const std::filesystem::path& file) {
  std::istringstream lines(ReadWholeFile(file));
  std::vector<StepReward> steps;
  for (std::string line; std::getline(lines, line);) {
    try {
      const json row = json::parse(line);
      steps.push_back({row.at("step"), row.at("reward_mean"), row.at("reward_std")});
    } catch (const json::exception&) {
      throw DataError(file.string(), ":", steps.size() + 1,
                      ": expected a step's metrics with step, reward_mean and reward_std");
    }
  }
  return steps;
}

}  // namespace

void ReadLearning(SweepResults* results) {
  for (TrialResult& trial : results->trials) {
    if (trial.row.is_null()) continue;
    const RunPaths paths(results->dir / "trials" / trial.id);
    try {
      trial.learning = ReadMetrics(paths.stage("grpo") / "metrics.jsonl");
    } catch (const Error& error) {
      trial.damage = error.what();
      trial.evaluation = trial.row = nullptr;
    }
  }
}

Curve MeanCurve(const SweepResults& results, const std::vector<size_t>& trials, size_t bins) {
  std::map<int64_t, Sums> by_step;
  for (const size_t i : trials) {
    for (const StepReward& reward : results.trials[i].learning) {
      Sums& sums = by_step[reward.step];
      sums.mean += reward.mean;
      sums.variance += reward.deviation * reward.deviation;
      sums.count += 1;
    }
  }
  const size_t in_a_bin = (by_step.size() + bins - 1) / bins;
  Curve curve;
  for (auto step = by_step.begin(); step != by_step.end();) {
    Sums bin;
    double position = 0, steps = 0;
    for (; step != by_step.end() && steps < static_cast<double>(in_a_bin); ++step) {
      bin.mean += step->second.mean;
      bin.variance += step->second.variance;
      bin.count += step->second.count;
      position += static_cast<double>(step->first);
      steps += 1;
    }
    curve.step.push_back(position / steps);
    curve.reward_mean.push_back(bin.mean / bin.count);
    curve.reward_variance.push_back(bin.variance / bin.count);
  }
  return curve;
}

}  // namespace flame
