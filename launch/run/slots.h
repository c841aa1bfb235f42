// The vectors of a policy's slots that come from the run's encoders.
#ifndef FLAME_LAUNCH_RUN_SLOTS_H_
#define FLAME_LAUNCH_RUN_SLOTS_H_

#include "data/corpus.h"
#include "launch/config/config.h"
#include "model/policy.h"

namespace flame {

// The kind of the patient's slot, which holds the vector of the visit in question.
inline constexpr char kVisitKind[] = "visit";

// Vectors of encoders and files are divided by this, so that the projector meets numbers of the
// size that it was drawn for; those of visits by that of the run's own.
double RootMeanSquare(const at::Tensor& vectors);

// Gives the slots of codes and drugs whose encoder the run has trained their vectors.
void FillSlots(const Config& config, Policy* policy);

// Gives the patient's slot, if the policy has one, a vector for every visit of `corpus`. It begins
// with the run's visits. Those of others behind them get RAREMed's vectors; throws DataError if the
// run's are from a file, which cannot tell them.
void FillVisits(const Config& config, const Corpus& corpus, Policy* policy);

}  // namespace flame

#endif  // FLAME_LAUNCH_RUN_SLOTS_H_
