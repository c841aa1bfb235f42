// Learning curves of a sweep's trials, from their grpo/metrics.jsonl.
#ifndef FLAME_LAUNCH_SWEEP_CURVES_H_
#define FLAME_LAUNCH_SWEEP_CURVES_H_

#include <cstddef>
#include <vector>

#include "launch/sweep/results.h"

namespace flame {

// Fills `learning` of the done and whole trials; one whose metrics cannot be read is damaged from
// then on, and has no row.
void ReadLearning(SweepResults* results);

// One value a bin of consecutive steps.
struct Curve {
  std::vector<double> step;         // the bin's mean
  std::vector<double> reward_mean;  // of R, over the bin's steps and the trials
  std::vector<double>
      reward_variance;  // of R within a group: reward_std squared, averaged likewise
};

// Over those of `trials` (indices into results.trials) that have learning, in at most `bins` (> 0)
// bins; empty where none has.
Curve MeanCurve(const SweepResults& results, const std::vector<size_t>& trials, size_t bins);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_CURVES_H_
