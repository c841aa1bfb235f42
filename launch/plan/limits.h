// Where a plan does not fit, and what to change.
#ifndef FLAME_LAUNCH_PLAN_LIMITS_H_
#define FLAME_LAUNCH_PLAN_LIMITS_H_

#include <string>
#include <vector>

#include "launch/plan/estimate.h"

namespace flame {

// A number above 0 with an optional unit: kB, MB, GB, TB, or KiB, MiB, GiB, TiB. Throws UsageError
// naming the option.
double ParseAmount(const std::string& option, const std::string& text);

// A line for each role that needs more than `memory` bytes a rank (0: any fits), naming the key to
// change; "" where all fit.
std::string MemoryFaults(const Config& config, const std::vector<StagePlan>& plans, double memory);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_LIMITS_H_
