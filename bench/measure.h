// Timing for the benchmarks: all actions take turns in one run, so that noise of the machine hits
// them all.
#ifndef FLAME_BENCH_MEASURE_H_
#define FLAME_BENCH_MEASURE_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace flame {

// Returns each action's seconds: the median of `repeats` rounds in which every action runs once,
// after a round that does not count.
inline std::vector<double> MedianSeconds(const std::vector<std::function<void()>>& actions,
                                         int repeats) {
  std::vector<std::vector<double>> seconds(actions.size());
  for (int round = 0; round <= repeats; ++round) {
    for (size_t a = 0; a < actions.size(); ++a) {
      const auto start = std::chrono::steady_clock::now();
      actions[a]();
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      if (round > 0) seconds[a].push_back(passed.count());
    }
  }
  std::vector<double> medians;
  for (auto& each : seconds) {
    std::sort(each.begin(), each.end());
    medians.push_back(each[each.size() / 2]);
  }
  return medians;
}

}  // namespace flame

#endif  // FLAME_BENCH_MEASURE_H_
