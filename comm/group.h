// Small things that learners tell each other. A null communicator is one learner: values stay as
// they are.
#ifndef FLAME_TRAINER_LEARNER_GROUP_H_
#define FLAME_TRAINER_LEARNER_GROUP_H_

#include <string>
#include <vector>

#include "comm/communicator.h"

namespace flame {

// Elementwise.
std::vector<double> SumOverLearners(Communicator* learners, const std::vector<double>& values);
std::vector<double> MaxOverLearners(Communicator* learners, const std::vector<double>& values);
// Learner 0's, of any length.
std::string BroadcastText(Communicator* learners, const std::string& text);
// Of every learner, by rank.
std::vector<std::string> GatherTexts(Communicator* learners, const std::string& text);

}  // namespace flame

#endif  // FLAME_TRAINER_LEARNER_GROUP_H_
