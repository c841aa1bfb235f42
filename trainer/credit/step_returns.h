// Returns of the steps of completions, and their comparison within a group.
#ifndef FLAME_TRAINER_CREDIT_STEP_RETURNS_H_
#define FLAME_TRAINER_CREDIT_STEP_RETURNS_H_

#include <vector>

#include "reward/verdict.h"
#include "trainer/credit/normalize.h"

namespace flame {

// [member][n - 1] for the steps n = 1..N + 1 of each member, as credit.h defines them.
using StepValues = std::vector<std::vector<double>>;

StepValues StepReturns(const std::vector<const Verdict*>& group, double gamma);

// Normalises the returns among the members that have a step n.
StepValues RelativeToPosition(const StepValues& returns, const Normalizer& normalizer);

// Normalises the returns among all steps of the group that begin at the same drug list
// (Verdict::state).
StepValues RelativeToState(const std::vector<const Verdict*>& group, const StepValues& returns,
                           const Normalizer& normalizer);

}  // namespace flame

#endif  // FLAME_TRAINER_CREDIT_STEP_RETURNS_H_
