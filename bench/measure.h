// What the benchmarks share: times in one run, in turns, so that a noisy machine is noisy for all.
#ifndef FLAME_BENCH_MEASURE_H_
#define FLAME_BENCH_MEASURE_H_

#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

namespace flame {

// Seconds of each action, the median of `repeats` rounds in which each runs once; before them a
// round that does not count.
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
