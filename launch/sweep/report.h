// The report of a sweep: a table of trials and a page.
#ifndef FLAME_LAUNCH_SWEEP_REPORT_H_
#define FLAME_LAUNCH_SWEEP_REPORT_H_

#include <string>

#include "launch/sweep/results.h"

namespace flame {

// Returns lines of text: shared stages, every trial with its state and, if done, its numbers, and
// the best point.
std::string SweepTable(const SweepResults& results);
// Returns {"dir", "criterion", "best", "stages": [...], "trials": [...], "points": [...]}. A point
// has each number of its row as {"count", "mean", "half_width"}; half_width is null for fewer than
// two seeds.
nlohmann::json SweepJson(const SweepResults& results);
// Returns CSV (RFC 4180), a heading and one line per trial: id, seed, the varied keys, state,
// numbers.
std::string SweepCsv(const SweepResults& results);
// Returns an HTML file that needs no other file and is readable on light and dark screens.
std::string SweepPage(const SweepResults& results);

// Describes the damage of a trial's files and how to have the trial made again.
std::string DamageText(const SweepResults& results, const TrialResult& trial);
// Returns the keys with more than one value, in the order of the settings.
std::vector<std::string> VariedKeys(const SweepResults& results);
// Returns "a.b=1 c.d=2" for the settings of `keys`; "the base config" if there are none.
std::string PointName(const Settings& settings, const std::vector<std::string>& keys);
// Returns the value of `key` in `settings`; "" if it is not set.
std::string ValueOf(const Settings& settings, const std::string& key);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_REPORT_H_
