// The report of a sweep: a table of trials and a page.
#ifndef FLAME_LAUNCH_SWEEP_REPORT_H_
#define FLAME_LAUNCH_SWEEP_REPORT_H_

#include <string>

#include "launch/sweep/results.h"

namespace flame {

// Lines of text: every trial with its state and, where done, its numbers; shared stages; the best.
std::string SweepTable(const SweepResults& results);
// {"dir", "criterion", "best", "stages": [...], "trials": [...], "points": [...]}; of a point each
// number of its row as {"count", "mean", "half_width"}, half_width null below two seeds.
nlohmann::json SweepJson(const SweepResults& results);
// One line a trial, a heading first (RFC 4180): id, seed, the varied keys, state, numbers.
std::string SweepCsv(const SweepResults& results);
// One HTML file that needs no other, readable on light and dark screens.
std::string SweepPage(const SweepResults& results);

// What is wrong with the files of a damaged trial, and how it is made again.
std::string DamageText(const SweepResults& results, const TrialResult& trial);
// The keys that more than one value was tried of, in the order of the settings.
std::vector<std::string> VariedKeys(const SweepResults& results);
// "a.b=1 c.d=2" of the settings of `keys` alone; "the base config" where there are none.
std::string PointName(const Settings& settings, const std::vector<std::string>& keys);
// The value of `key` in `settings`; "" where it is not set.
std::string ValueOf(const Settings& settings, const std::string& key);

}  // namespace flame

#endif  // FLAME_LAUNCH_SWEEP_REPORT_H_
