// The faults of a plan that does not fit, and the keys to change.
#ifndef FLAME_LAUNCH_PLAN_LIMITS_H_
#define FLAME_LAUNCH_PLAN_LIMITS_H_

#include <string>
#include <vector>

#include "launch/plan/estimate.h"

namespace flame {

// Parses a number above 0 with an optional unit: B, kB, MB, GB, TB, KiB, MiB, GiB or TiB. Throws
// UsageError naming the option.
double ParseAmount(const std::string& option, const std::string& text);

// Returns one line per role that needs more than `memory` bytes per rank, naming the key to change;
// "" if all roles fit. `memory` 0 means no limit.
std::string MemoryFaults(const Config& config, const std::vector<StagePlan>& plans, double memory);

}  // namespace flame

#endif  // FLAME_LAUNCH_PLAN_LIMITS_H_
