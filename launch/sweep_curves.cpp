#include "launch/sweep_curves.h"

#include <map>
#include <sstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "launch/run_paths.h"

namespace flame {
namespace {

using nlohmann::json;

struct Sums {
  double mean = 0, variance = 0, count = 0;
};

void AddMetrics(const std::filesystem::path& file, std::map<int64_t, Sums>* by_step) {
  std::istringstream lines(ReadWholeFile(file));
  int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    try {
      const json row = json::parse(line);
      const double deviation = row.at("reward_std");
      Sums& sums = (*by_step)[row.at("step").get<int64_t>()];
      sums.mean += row.at("reward_mean").get<double>();
      sums.variance += deviation * deviation;
      sums.count += 1;
    } catch (const json::exception&) {
      throw DataError(file.string(), ":", number,
                      ": expected a step's metrics with step, reward_mean and reward_std");
    }
  }
}

}  // namespace

Curve MeanCurve(const SweepResults& results, const std::vector<size_t>& trials, size_t bins) {
  std::map<int64_t, Sums> by_step;
  for (const size_t i : trials) {
    const TrialResult& trial = results.trials[i];
    if (trial.status.state != JobState::kDone) continue;
    const RunPaths paths(results.dir / "trials" / trial.id);
    AddMetrics(paths.stage("grpo") / "metrics.jsonl", &by_step);
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
