#include "data/synth/oracle.h"

#include <array>
#include <bit>
#include <span>

namespace flame {
namespace {

using Draws = std::span<const DrugBits>;

double MeanJaccard(DrugBits set, Draws draws) {
  double sum = 0;
  for (const DrugBits draw : draws) sum += SynthJaccard(set, draw);
  return sum / static_cast<double>(draws.size());
}

// Returns the drugs in more than `share` of the draws.
DrugBits Frequent(Draws draws, double share) {
  DrugBits frequent = 0;
  for (int32_t drug = 0; drug < kMaxSynthDrugs; ++drug) {
    size_t count = 0;
    for (const DrugBits draw : draws) count += draw >> drug & 1;
    if (static_cast<double>(count) > share * static_cast<double>(draws.size())) {
      frequent |= DrugBits{1} << drug;
    }
  }
  return frequent;
}

// Tries every set that differs from `set` by adding, dropping or swapping one of `candidates`. If
// the best of them beats `set`, replaces `set` and `value` and returns true.
bool Improve(DrugBits candidates, Draws draws, DrugBits* set, double* value) {
  DrugBits best = *set;
  const auto consider = [&](DrugBits other) {
    const double mean = other ? MeanJaccard(other, draws) : 0;
    if (mean > *value + 1e-12) {
      *value = mean;
      best = other;
    }
  };
  for (DrugBits in = candidates; in; in &= in - 1) {
    const DrugBits bit = in & -in;
    consider(*set ^ bit);
    if (*set & bit) continue;
    for (DrugBits out = *set & candidates; out; out &= out - 1) {
      consider((*set ^ bit) & ~(out & -out));
    }
  }
  const bool better = best != *set;
  *set = best;
  return better;
}

}  // namespace

double SynthJaccard(DrugBits a, DrugBits b) {
  const int both = std::popcount(a & b);
  return both == 0 ? 0.0 : static_cast<double>(both) / std::popcount(a | b);
}

SynthOracle SolveSynthOracle(const std::vector<DrugBits>& draws) {
  const Draws all(draws);
  const Draws first = all.first(draws.size() / 2), second = all.subspan(draws.size() / 2);
  SynthOracle oracle;
  oracle.likely = Frequent(first, 0.5);
  // A rarer drug is in no best list that matters: adding it costs more than it gains.
  const DrugBits candidates = Frequent(first, 0.15) | oracle.likely;
  oracle.best = Frequent(first, 0.35);
  double value = oracle.best ? MeanJaccard(oracle.best, first) : 0;
  while (Improve(candidates, first, &oracle.best, &value)) {
  }
  oracle.list = MeanJaccard(oracle.best, second);
  oracle.threshold = MeanJaccard(oracle.likely, second);
  return oracle;
}

}  // namespace flame
