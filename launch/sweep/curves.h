// Learning curves of a sweep's trials, from their grpo/metrics.jsonl.
#ifndef FLAME_LAUNCH_SWEEP_CURVES_H_
#define FLAME_LAUNCH_SWEEP_CURVES_H_

#include <cstddef>
#include <vector>

#include "launch/sweep/results.h"

namespace flame {

// Fills `learning` of the trials that are done and whole. A trial whose metrics cannot be read
// becomes damaged and loses its row.
void ReadLearning(SweepResults* results);

// One value per bin of consecutive steps.
struct Curve {
  std::vector<double> step;         // mean step of the bin
  std::vector<double> reward_mean;  // mean of R over the bin's steps and the trials
  // Variance of R within a group (reward_std squared), averaged likewise.
  std::vector<double> reward_variance;
};

// Averages over those of `trials` (indices into results.trials) that have learning, in at most
// `bins` (> 0) bins; empty if none has.
Curve MeanCurve(const SweepResults& results, const std::vector<size_t>& trials, size_t bins);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_CURVES_H_
